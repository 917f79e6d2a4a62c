/* SPDX-License-Identifier: Apache-2.0
 * The `braid` program: finds the subcommand, reads its options, runs it. */
#include "commands.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_command *const commands[] = {
    &cmd_models, &cmd_info, &cmd_export, &cmd_run,  &cmd_profile, &cmd_plan, &cmd_compare, &cmd_breakpoints,
    &cmd_cloud,  &cmd_broker, &cmd_edge, &cmd_timeline, &cmd_demo,   &cmd_topo, &cmd_bench,   &cmd_check_onnx,
    &cmd_keys,   &cmd_tune,   &cmd_help,
};

const struct cli_command *const *cli_commands(int *n) {
  *n = CLI_COUNT_OF(commands);
  return commands;
}

const struct cli_command *cli_command_find(const char *name) {
  for (int i = 0; i < CLI_COUNT_OF(commands); i++)
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  return NULL;
}

static int unknown_command(const char *name) {
  const char *known[CLI_COUNT_OF(commands)];
  for (int i = 0; i < CLI_COUNT_OF(commands); i++) known[i] = commands[i]->name;
  const char *near = cli_nearest(name, known, CLI_COUNT_OF(commands));
  if (near) return cli_usage("unknown command '%s'; did you mean '%s'?", name, near);
  return cli_usage("unknown command '%s' ('braid --help' lists them)", name);
}

/* ------------------------------------------------------------------------------------------------- help */

struct help_options {
  bool man;
  const char *man_dir;
};
static const struct cli_option help_options[] = {
    {"man", 0, CLI_FLAG, offsetof(struct help_options, man), NULL, NULL, "print it as a man page (troff)"},
    {"man-dir", 0, CLI_TEXT, offsetof(struct help_options, man_dir), "DIR", NULL, "write every man page into DIR"},
};

static int write_page(const char *dir, const struct cli_command *command) {
  char path[4096];
  snprintf(path, sizeof path, "%s/braid%s%s.1", dir, command ? "-" : "", command ? command->name : "");
  FILE *out = fopen(path, "w");
  if (out) cli_man(command, out);
  if (out && fclose(out) == 0) return CLI_DONE;
  fprintf(stderr, "braid: %s: %s\n", path, strerror(errno));
  return CLI_FAILED;
}

static int write_pages(const char *dir) {
  int exit = write_page(dir, NULL);
  for (int i = 0; i < CLI_COUNT_OF(commands) && exit == CLI_DONE; i++) exit = write_page(dir, commands[i]);
  return exit;
}

static int run_help(const void *options, char **args, int n_args) {
  const struct help_options *o = options;
  const struct cli_command *command = n_args ? cli_command_find(args[0]) : NULL;
  if (n_args && !command) return unknown_command(args[0]);
  if (o->man_dir) return write_pages(o->man_dir);
  if (o->man)
    cli_man(command, stdout);
  else if (command)
    cli_help(command, stdout);
  else
    cli_help_all(stdout);
  return CLI_DONE;
}

const struct cli_command cmd_help = {"help", "[COMMAND]",  "the help of a command",    NULL,    0,
                                     1,      help_options, CLI_COUNT_OF(help_options), run_help};

/* ------------------------------------------------------------------------------------------------- main */

static int run(const struct cli_command *command, int argc, char **argv) {
  void *values = braid_malloc(CLI_OPTIONS_BYTES);
  char **args = braid_calloc((size_t)argc + 1, sizeof *args);
  int n_args, exit = CLI_FAILED;
  bool help = false;
  if (!values || !args) {
    fputs("braid: out of memory\n", stderr);
  } else {
    exit = cli_parse(command, argc, argv, values, args, &n_args, &help);
    if (exit == CLI_DONE && help)
      cli_help(command, stdout);
    else if (exit == CLI_DONE)
      exit = command->run(values, args, n_args);
  }
  braid_free(args);
  braid_free(values);
  return exit;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    cli_help_all(stderr);
    return CLI_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    cli_help_all(stdout);
    return CLI_DONE;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("braid %s\n", BRAID_VERSION);
    return CLI_DONE;
  }
  const struct cli_command *command = cli_command_find(argv[1]);
  if (!command) return unknown_command(argv[1]);
  cli_catch_signals();
  int exit = run(command, argc - 2, argv + 2);
  return cli_interrupted() && exit != CLI_USAGE ? 128 + cli_interrupted() : exit; /* SIGINT: 130 */
}
