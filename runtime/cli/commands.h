/* SPDX-License-Identifier: Apache-2.0
 * The subcommands, one file each (cmd_NAME.c). */
#ifndef BRAID_COMMANDS_H
#define BRAID_COMMANDS_H

#include "cli.h"

extern const struct cli_command cmd_models, cmd_info, cmd_export, cmd_run, cmd_profile, cmd_plan, cmd_compare,
    cmd_breakpoints, cmd_broker, cmd_cloud, cmd_edge, cmd_demo, cmd_timeline, cmd_topo, cmd_tune, cmd_help;
extern const struct cli_command cmd_bench, cmd_check_onnx, cmd_keys;

#endif
