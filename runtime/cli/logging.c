/* SPDX-License-Identifier: Apache-2.0
 * --log-format and --log-level, which every command takes: how and how much is logged on standard error. */
#include "cli.h"

#include <string.h>

static const struct cli_option options[] = {
    {"log-format", 0, CLI_TEXT, 0, "text|json", "text", "standard error: text for people, or a JSON object a line"},
    {"log-level", 0, CLI_TEXT, 0, "error|warning|info|debug", "info", "the least that is logged"},
};

const struct cli_option *cli_log_options(int *n) {
  *n = CLI_COUNT_OF(options);
  return options;
}

static int set_format(const char *text) {
  bool json = strcmp(text, "json") == 0;
  if (!json && strcmp(text, "text") != 0) return cli_usage("--log-format is text or json, not '%s'", text);
  braid_log_set_json(json);
  return CLI_DONE;
}

static int set_level(const char *text) {
  const char *name;
  for (enum braid_log_level level = BRAID_LOG_ERROR; (name = braid_log_level_name(level)); level++)
    if (strcmp(text, name) == 0) {
      braid_log_set_level(level);
      return CLI_DONE;
    }
  return cli_usage("--log-level is error, warning, info or debug, not '%s'", text);
}

int cli_log_option(const struct cli_option *option, const char *text) {
  return option == &options[0] ? set_format(text) : set_level(text);
}
