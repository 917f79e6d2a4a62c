/* SPDX-License-Identifier: Apache-2.0
 * braid profile: per-node times on this machine. */
#include "commands.h"
#include "plan_file.h"
#include "precision.h"

#include <stddef.h>
#include <string.h>

struct profile_options {
  struct cli_exec exec;
  struct cli_precision precision;
  const char *output;
  int repeat, batch;
  double slow;
  bool json;
};
#define FIELD(member) offsetof(struct profile_options, member)
static const struct cli_option options[] = {
    {"output", 'o', CLI_TEXT, FIELD(output), "FILE", NULL, "where to write it ('-': standard output)"},
    {"repeat", 0, CLI_COUNT, FIELD(repeat), "N", "10", "runs; the median of each node counts"},
    {"batch", 0, CLI_COUNT, FIELD(batch), "N", "1", "images in a frame"},
    {"slow", 0, CLI_REAL, FIELD(slow), "K", "1", "times of a device K times slower"},
    CLI_PRECISION_OPTIONS(struct profile_options, precision),
    CLI_PREPROCESS_OPTION(struct profile_options, precision),
    CLI_EXEC_OPTIONS(struct profile_options, exec),
    CLI_JSON_OPTION(struct profile_options, json),
};

static void show_progress(void *ctx, int done, int total) {
  cli_progress(ctx, done, total);
}

static void print_text(const struct braid_graph *graph, const struct braid_profile *profile) {
  static const char *const heading[] = {"id", "us", "%", "GFLOP/s", "op", "name"};
  int64_t total = 0;
  for (int id = 0; id < profile->n_nodes; id++) total += profile->node_ns[id];
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  for (int id = 0; id < profile->n_nodes; id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    int64_t ns = profile->node_ns[id];
    cli_table_cell(t, "%d", id);
    cli_table_cell(t, "%.1f", (double)ns / 1e3);
    cli_table_cell(t, "%.1f", total ? 100 * (double)ns / (double)total : 0);
    if (node->macs && ns)
      cli_table_cell(t, "%.1f", 2 * (double)node->macs / (double)ns);
    else
      cli_table_cell(t, "%s", "");
    cli_table_cell(t, "%s", braid_op_name(node->op));
    cli_table_cell(t, "%s", node->name);
  }
  cli_table_print(t, stdout);
  printf("\n%s on %s: %.2f ms with one worker\n", profile->model, profile->machine, cli_ms(total));
}

static int put(const struct profile_options *o, const struct braid_graph *graph, const struct braid_profile *profile) {
  if (o->output && profile_file_write(o->output, profile) != BRAID_OK) return cli_fail(CLI_FAILED);
  if (o->output && strcmp(o->output, "-") == 0) return CLI_DONE;
  if (!o->json) {
    print_text(graph, profile);
    return CLI_DONE;
  }
  char *text;
  if (braid_profile_to_json(profile, &text) != BRAID_OK) return cli_fail(CLI_FAILED);
  int exit = cli_print_json(json_loads(text, 0, NULL));
  braid_free(text);
  return exit;
}

static int measure(const struct profile_options *o, const struct braid_graph *graph) {
  struct cli_machine machine;
  struct braid_profile *profile;
  int exit = cli_machine_open(&o->exec, &machine);
  if (exit != CLI_DONE) return exit;
  char what[] = "profiling";
  struct braid_profile_opts opts = {.repeat = o->repeat,
                                    .cpu_flags = machine.cpu_flags,
                                    .choices = machine.choices,
                                    .slow = o->slow,
                                    .pin = machine.pin,
                                    .progress = show_progress,
                                    .ctx = what};
  if (braid_profile_measure(graph, &opts, &profile) != BRAID_OK) {
    exit = cli_fail(CLI_FAILED);
  } else {
    profile->threads = machine.workers;
    exit = put(o, graph, profile);
    braid_profile_destroy(&profile);
  }
  cli_machine_close(&machine);
  return exit;
}

static int run(const void *values, char **args, int n_args) {
  const struct profile_options *o = values;
  struct braid_graph *graph;
  (void)n_args;
  int exit = precision_open(args[0], o->batch, &o->precision, &graph);
  if (exit != CLI_DONE) return exit;
  exit = measure(o, graph);
  braid_graph_destroy(&graph);
  return exit;
}

const struct cli_command cmd_profile = {"profile",
                                        "MODEL",
                                        "times every node on this machine",
                                        "Nodes are timed by one worker inside whole runs, so in the state of the "
                                        "caches that they will meet. --threads says how "
                                        "many workers plans may count on here. What -o writes is the input of 'braid "
                                        "plan --edge' and '--cloud'; a file written "
                                        "by hand needs only nodes:[{id,us}].",
                                        1,
                                        1,
                                        options,
                                        CLI_COUNT_OF(options),
                                        run};
