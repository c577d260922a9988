// The front: instant commands here, the others in the programs beside it, so that --help, check,
// pki and report never load LibTorch.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

#include "fedmeta/cli/commands.h"

namespace fedmeta {
namespace {

// Replaces this process by the program beside this one, with the same arguments.
int ExecuteBeside(const char* program, char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path path = self.parent_path() / program;
  argv[0] = const_cast<char*>(program);
  ::execv(path.c_str(), argv);
  return ReportError(Error(ErrorCode::kInternal, "cannot start " + path.string() + ": " +
                                                     std::strerror(errno) +
                                                     "; is the installation complete?"));
}

Command Delegated(const std::string& name, const std::string& description, const char* program,
                  char** argv) {
  return {.name = name,
          .description = description,
          .example = "fedmeta " + name + " --help",
          .setup = [program, argv](CLI::App& app) -> std::function<int()> {
            app.prefix_command();
            app.set_help_flag();  // the program beside it has the help
            return [program, argv] { return ExecuteBeside(program, argv); };
          }};
}

}  // namespace
}  // namespace fedmeta

int main(int argc, char** argv) {
  using namespace fedmeta;
  constexpr const char* kLearn = "fedmeta-learn";
  const PluginTables schema = BuiltinPluginTables();
  return RunCommands(
      argc, argv, "fedmeta",
      "Federated meta-learning: an initialisation that a site adapts to its own few examples.",
      {Delegated("run", "Simulate a federation on this machine.", kLearn, argv),
       Delegated("sweep", "Simulate the product of settings.", kLearn, argv),
       Delegated("init", "Make the initial state that a coordinator starts from.", kLearn, argv),
       Delegated("partition", "Write the clients of a simulated experiment as separate sites.",
                 kLearn, argv),
       Delegated("coordinator", "Coordinate a live federation.", "fedmeta-coordinator", argv),
       Delegated("client", "Run a site.", kLearn, argv),
       Delegated("adapt", "Adapt a trained model to one site's data.", kLearn, argv),
       Delegated("predict", "Score records with an adapted model.", kLearn, argv),
       Delegated("rehearse",
                 "Show with this site's data, without a network, what a run would do and "
                 "what would leave.",
                 kLearn, argv),
       ReportCommand(), PkiCommand(), SignCommand(schema), SiteCommand(schema), AuditCommand(),
       CheckCommand(schema, BuiltinData()), ExplainCommand(schema), PrivacyCommand(schema)});
}
