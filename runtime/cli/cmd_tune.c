/* SPDX-License-Identifier: Apache-2.0
 * braid tune: measures which kernel is the fastest for every convolution, and keeps it for all later runs. */
#include "commands.h"

#include <stddef.h>

struct tune_options {
  struct cli_exec exec;
  int passes, batch;
  bool json;
};
#define FIELD(member) offsetof(struct tune_options, member)
static const struct cli_option options[] = {
    {"passes", 0, CLI_COUNT, FIELD(passes), "N", "3", "how often every kernel has its turn"},
    {"batch", 0, CLI_COUNT, FIELD(batch), "N", "1", "images in a frame"},
    CLI_EXEC_OPTIONS(struct tune_options, exec),
    CLI_JSON_OPTION(struct tune_options, json),
};

struct session {
  const struct tune_options *o;
  struct cli_machine machine;
  char path[4096];
  json_t *nets; /* with --json */
};

static bool show_progress(void *ctx, int done, int total) {
  cli_progress(ctx, done, total);
  return !cli_interrupted();
}

/* -------------------------------------------------------------------------------------------------- report */

static double faster(int64_t rule_ns, int64_t chosen_ns) {
  return chosen_ns > 0 ? (double)rule_ns / (double)chosen_ns : 1;
}

static json_t *layer_json(const struct braid_tuned_layer *l) {
  return json_pack("{s:s, s:i, s:i, s:s, s:s, s:f, s:f}", "convolution", l->key, "nodes", l->nodes, "tried", l->tried,
                   "rule", l->rule, "chosen", l->chosen, "rule_us", (double)l->rule_ns / 1e3, "chosen_us",
                   (double)l->chosen_ns / 1e3);
}

static json_t *net_json(const char *name, const struct braid_tuning *t) {
  json_t *layers = json_array();
  for (int i = 0; i < t->n; i++) json_array_append_new(layers, layer_json(&t->layer[i]));
  return json_pack("{s:s, s:o, s:f, s:f, s:I, s:I}", "model", name, "layers", layers, "rule_ms", cli_ms(t->rule_ns),
                   "chosen_ms", cli_ms(t->chosen_ns), "rule_packed_bytes", (json_int_t)t->rule_packed_bytes,
                   "chosen_packed_bytes", (json_int_t)t->chosen_packed_bytes);
}

static void print_layer(struct cli_table *table, const struct braid_tuned_layer *l) {
  cli_table_cell(table, "%d", l->nodes);
  cli_table_cell(table, "%.1f", (double)l->rule_ns / 1e3);
  cli_table_cell(table, "%.1f", (double)l->chosen_ns / 1e3);
  cli_table_cell(table, "%.2f", faster(l->rule_ns, l->chosen_ns));
  cli_table_cell(table, "%s", l->rule);
  cli_table_cell(table, "%s", l->chosen);
  cli_table_cell(table, "%s", l->key);
}

/* Convolutions that keep the rules' kernel are counted only. */
static void print_net(const char *name, const struct braid_tuning *t) {
  static const char *const heading[] = {"nodes", "rule/us", "chosen/us", "faster", "rule", "chosen", "convolution"};
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(heading), heading);
  int changed = 0;
  for (int i = 0; i < t->n; i++) {
    if (t->layer[i].rule == t->layer[i].chosen) continue;
    print_layer(table, &t->layer[i]);
    changed++;
  }
  if (changed > 0)
    cli_table_print(table, stdout);
  else
    cli_table_free(table);
  printf("%s: another kernel than the rules' for %d of %d convolutions; %.2f ms by the rules, %.2f ms as chosen (%.2f "
         "times as fast); packed weights %.1f and %.1f MiB\n\n",
         name, changed, t->n, cli_ms(t->rule_ns), cli_ms(t->chosen_ns), faster(t->rule_ns, t->chosen_ns),
         (double)t->rule_packed_bytes / 1048576, (double)t->chosen_packed_bytes / 1048576);
}

/* ---------------------------------------------------------------------------------------------------- tune */

static int tune(struct session *s, const char *model) {
  struct braid_graph *graph;
  struct braid_tuning *tuning;
  char what[64];
  int exit = cli_open_model(model, s->o->batch, &graph);
  if (exit != CLI_DONE) return exit;
  snprintf(what, sizeof what, "%s", braid_graph_name(graph));
  struct braid_tune_opts opts = {.workers = s->machine.workers,
                                 .pin = s->machine.pin,
                                 .cpu_flags = s->machine.cpu_flags,
                                 .passes = s->o->passes,
                                 .progress = show_progress,
                                 .ctx = what};
  enum braid_status status = braid_tune(graph, &opts, s->machine.choices, &tuning);
  cli_progress("", 1, 1);
  if (status == BRAID_OK) {
    if (s->o->json)
      json_array_append_new(s->nets, net_json(what, tuning));
    else
      print_net(what, tuning);
    braid_tuning_destroy(&tuning);
    status = braid_choices_write(s->machine.choices, s->path); /* what is done is kept, whatever comes next */
  }
  braid_graph_destroy(&graph);
  if (status == BRAID_OK) return CLI_DONE;
  return cli_interrupted() ? CLI_INTERRUPTED : cli_fail(status == BRAID_EUNSUPPORTED ? CLI_BAD_INPUT : CLI_FAILED);
}

static int report(struct session *s) {
  int n = braid_choices_count(s->machine.choices);
  if (s->o->json)
    return cli_print_json(json_pack("{s:O, s:s, s:i, s:i}", "nets", s->nets, "file", s->path, "choices", n, "threads",
                                    s->machine.workers));
  printf("%s: %d convolutions\n", s->path, n);
  return CLI_DONE;
}

static int run(const void *values, char **args, int n_args) {
  struct session s = {.o = values};
  int exit = cli_machine_open(&s.o->exec, &s.machine);
  if (exit != CLI_DONE) return exit;
  if (s.machine.cpu_flags == 0) exit = cli_usage("tune: --kernels ref leaves nothing to choose from");
  if (exit == CLI_DONE && braid_choices_path(s.path, sizeof s.path) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  if (exit == CLI_DONE && !s.machine.choices &&
      braid_choices_create(s.machine.cpu_flags, &s.machine.choices) != BRAID_OK)
    exit = cli_fail(CLI_FAILED);
  s.nets = json_array();
  for (int i = 0; i < n_args && exit == CLI_DONE; i++) exit = tune(&s, args[i]);
  if (exit == CLI_DONE) exit = report(&s);
  json_decref(s.nets);
  cli_machine_close(&s.machine);
  return exit;
}

const struct cli_command cmd_tune = {
    "tune",
    "MODEL...",
    "measures which kernels are the fastest here",
    "Tries every kernel that can compute a convolution, inside whole runs of the network, and writes what is faster than "
    "the built-in rules' choice to $XDG_CACHE_HOME/braid/kernels.json (or ~/.cache/braid/kernels.json). Every command "
    "that computes takes it from there, for any network with the same convolution; --kernels rules does without. "
    "--threads as of the runs that are to be faster: it decides how convolutions are cut. Wants a quiet machine; takes "
    "seconds to minutes a network. What was measured before is kept; --kernels rules begins anew.",
    1,
    -1,
    options,
    CLI_COUNT_OF(options),
    run};
