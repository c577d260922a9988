#include "fedmeta/cli/learn_commands.h"
