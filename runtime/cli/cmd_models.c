/* SPDX-License-Identifier: Apache-2.0
 * braid models: the zoo. */
#include "commands.h"
#include "describe.h"

struct models_options {
  bool json;
};
static const struct cli_option options[] = {
    CLI_JSON_OPTION(struct models_options, json),
};

static void add_row(struct cli_table *t, const struct braid_zoo_entry *entry, const struct braid_graph *graph) {
  int64_t params, macs, bytes;
  braid_graph_totals(graph, &params, &macs, &bytes);
  char input[128];
  cli_table_cell(t, "%s", entry->name);
  cli_table_cell(t, "%.2f", (double)params / 1e6);
  cli_table_cell(t, "%.1f", (double)macs / 1e6);
  cli_table_cell(t, "%d", describe_branches(graph));
  cli_table_cell(t, "%s", describe_inputs(graph, input, sizeof input));
  cli_table_cell(t, "%s", entry->summary);
}

static void add_json(json_t *list, const struct braid_zoo_entry *entry, const struct braid_graph *graph) {
  int64_t params, macs, bytes;
  braid_graph_totals(graph, &params, &macs, &bytes);
  json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:i, s:o, s:s, s:s}", "name", entry->name, "params",
                                        (json_int_t)params, "macs", (json_int_t)macs, "branches",
                                        describe_branches(graph), "input", describe_inputs_json(graph), "summary",
                                        entry->summary, "paper", entry->paper));
}

static int run(const void *values, char **args, int n_args) {
  static const char *const heading[] = {"name", "params/M", "MMAC", "branches", "input", ""};
  const struct models_options *o = values;
  int n, exit = CLI_DONE;
  (void)args;
  (void)n_args;
  const struct braid_zoo_entry *zoo = braid_zoo(&n);
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(heading), heading);
  json_t *list = json_array();
  for (int i = 0; i < n && exit == CLI_DONE && !cli_interrupted(); i++) {
    struct braid_graph *graph;
    cli_progress(zoo[i].name, i, n);
    exit = cli_open_model(zoo[i].name, 1, &graph);
    if (exit != CLI_DONE) break;
    add_row(table, &zoo[i], graph);
    add_json(list, &zoo[i], graph);
    braid_graph_destroy(&graph);
  }
  cli_progress("", n, n);
  if (exit == CLI_DONE && !o->json)
    cli_table_print(table, stdout);
  else
    cli_table_free(table);
  if (exit == CLI_DONE && o->json) return cli_print_json(list);
  json_decref(list);
  return exit;
}

const struct cli_command cmd_models = {"models", "",      "lists the built-in networks", NULL, 0,
                                       0,        options, CLI_COUNT_OF(options),         run};
