#include "fedmeta/transport/listen_probe.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "fedmeta/core/host_port.h"

namespace fedmeta {

Status CheckListenAddress(const std::string& address) {
  const auto parsed = ParseHostPort(address);
  if (!parsed.ok()) return parsed.error().WithContext("listen");
  return {};
}

std::string WhyNotListening(const std::string& address) {
  namespace asio = boost::asio;
  const auto parsed = ParseHostPort(address);
  if (!parsed.ok()) return parsed.error().message();
  asio::io_context context;
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(context);
  const auto found =
      resolver.resolve(parsed.value().host, std::to_string(parsed.value().port), error);
  if (error) return "the host name is unknown (" + error.message() + ")";
  for (const auto& entry : found) {
    asio::ip::tcp::acceptor acceptor(context);
    acceptor.open(entry.endpoint().protocol(), error);
    if (!error) acceptor.set_option(asio::ip::tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(entry.endpoint(), error);
    if (!error) acceptor.listen(1, error);
    if (error == asio::error::address_in_use) {
      return "port " + std::to_string(parsed.value().port) +
             " is in use: another coordinator runs, or choose another port";
    }
    if (error) return error.message();
  }
  return "gRPC could not start; the lines above say why";
}

}  // namespace fedmeta
