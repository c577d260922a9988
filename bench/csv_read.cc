// Reads the table that bench/tables.py makes as a site does for an experiment, and prints one JSON
// line.
#include <chrono>
#include <cstdio>
#include <string>
#include <sys/resource.h>

#include <google/protobuf/text_format.h>

#include "fedmeta/client/data/source.h"
#include "fedmeta/client/data/table_builder.h"
#include "fedmeta/v1/data.pb.h"

int main(int argc, char** argv) {
  using namespace fedmeta;
  if (argc != 2) return 2;
  v1::CsvSettings settings;
  settings.set_path(argv[1]);
  settings.set_header(true);
  v1::Plugin choice;
  choice.set_name("csv");
  choice.mutable_settings()->PackFrom(settings);
  v1::Dictionary dictionary;
  std::string text;
  for (int i = 0; i < 8; ++i)
    text += "features { name: 'x" + std::to_string(i) +
            "' kind: 'number' missing: 'mean' unknown: 'refuse' range: -100 range: 100 }";
  text +=
      "features { name: 'sex' kind: 'category' levels: 'female' levels: 'male' missing: "
      "'zero_with_flag' unknown: 'refuse' }"
      "label { name: 'disease' kind: 'category' levels: 'absent' levels: 'present' } standardize: "
      "'local'";
  if (!google::protobuf::TextFormat::ParseFromString(text, &dictionary)) return 2;
  const auto begin = std::chrono::steady_clock::now();
  const auto source = OpenSource(BuiltinData(), choice);
  if (!source.ok()) return 1;
  const auto built = BuildTable(*source->table, dictionary);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!built.ok() || !built->dataset) return 1;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("{\"rows\": %llu, \"seconds\": %.3f, \"peak_mib\": %.1f}\n",
              static_cast<unsigned long long>(built->report.used), seconds,
              static_cast<double>(usage.ru_maxrss) / 1024);
  return 0;
}
