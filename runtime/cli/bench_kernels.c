/* SPDX-License-Identifier: Apache-2.0
 *
 * braid bench kernels: every kernel that accepts a layer, on this machine.
 *
 * A kernel's result is compared with the reference kernel's before it is timed. Kernels and OpenBLAS's bare sgemm of
 * the same size take turns; a turn is a run that does not count and some that do, whose median is what the round has
 * measured. Operands are as warm as the run before has left them. */
#include "bench.h"
#include "fma_peak.h"
#include "layer_case.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 5, TURN_RUNS_MAX = 16, KERNELS_MAX = 32 };
static const double turn_us = 5000; /* a turn has so many runs as take this, one at least */

struct runner {
  const struct braid_kernel *kernel; /* NULL: sgemm */
  struct kernel_run run;
  double *round_us; /* [rounds] */
  double min_us, error;
};

struct layer_bench {
  const struct bench_options *o;
  int rounds;
  uint32_t cpu_flags;
  double peak_gflops;
  struct kernel_team *team;
  struct layer_case c;
  int n; /* runners; [0] is sgemm */
  struct runner runner[KERNELS_MAX];
  double chosen_us, best_us, sgemm_us; /* of all layers, by their counts */
  bool wrong;
  json_t *layers;
};

/* ------------------------------------------------------------------------------------------------- one layer */

static enum braid_status add_runner(struct layer_bench *b, const struct braid_kernel *kernel) {
  struct runner *r = &b->runner[b->n];
  *r = (struct runner){.kernel = kernel, .round_us = braid_calloc((size_t)b->rounds, sizeof *r->round_us)};
  if (!r->round_us) return braid_fail(BRAID_ENOMEM, "no memory for %d rounds", b->rounds);
  enum braid_status status = kernel ? kernel_run_open(&b->c, kernel, &r->run) : BRAID_OK;
  if (status != BRAID_OK) {
    braid_free(r->round_us);
    return status;
  }
  b->n++;
  if (!kernel) return BRAID_OK;
  int64_t n = braid_shape_elements(&b->c.args.out.shape);
  for (int64_t i = 0; i < n; i++) ((float *)b->c.args.out.data)[i] = NAN; /* what is not written is seen */
  kernel_run_once(&r->run);
  r->error = layer_case_error(&b->c);
  if (r->error <= layer_case_bound(&b->c)) return BRAID_OK;
  b->wrong = true;
  fprintf(stderr, "braid: %s on %s: off the reference by %.3g of the largest value (at most %.3g may be)\n",
          kernel->name, b->c.layer->name, r->error, layer_case_bound(&b->c));
  return BRAID_OK;
}

/* The reference has run once already and is too slow to be run again. */
static enum braid_status add_runners(struct layer_bench *b) {
  int n;
  const struct braid_kernel *const *all = braid_kernels(&n), *ref = braid_kernel_find(&b->c.args, 0);
  BRAID_TRY(add_runner(b, NULL));
  for (int i = 0; i < n && b->n < KERNELS_MAX; i++)
    if (all[i] != ref && braid_kernel_can(all[i], &b->c.args, b->cpu_flags)) BRAID_TRY(add_runner(b, all[i]));
  return BRAID_OK;
}

static double run_us(struct layer_bench *b, struct runner *r) {
  return (double)(r->kernel ? kernel_run_once(&r->run) : layer_case_sgemm(&b->c)) / 1e3;
}

static void take_turn(struct layer_bench *b, struct runner *r, int round) {
  double runs[TURN_RUNS_MAX];
  int n = (int)(turn_us / (run_us(b, r) + 1)) + 1;
  if (n > TURN_RUNS_MAX) n = TURN_RUNS_MAX;
  for (int i = 0; i < n; i++) runs[i] = run_us(b, r);
  struct cli_stats s = cli_stats_of(runs, n);
  if (r->min_us == 0 || s.min < r->min_us) r->min_us = s.min;
  r->round_us[round] = s.p50;
}

static void close_runners(struct layer_bench *b) {
  for (int i = 0; i < b->n; i++) {
    if (b->runner[i].kernel) kernel_run_close(&b->runner[i].run);
    braid_free(b->runner[i].round_us);
  }
  b->n = 0;
}

/* ---------------------------------------------------------------------------------------------------- JSON */

static double median_us(const struct layer_bench *b, const struct runner *r) {
  return cli_stats_of(r->round_us, b->rounds).p50;
}

static json_t *times_json(const struct layer_bench *b, double min_us, double p50_us) {
  double gflops = 2e-3 * layer_shape_macs(b->c.layer) / p50_us;
  return json_pack("{s:f, s:f, s:f, s:f}", "min_us", min_us, "p50_us", p50_us, "gflops", gflops, "of_peak",
                   b->peak_gflops > 0 ? gflops / b->peak_gflops : 0.0);
}

static json_t *kernel_json(const struct layer_bench *b, const struct runner *r, double sgemm_us) {
  double us = median_us(b, r);
  json_t *all =
      json_pack("{s:s, s:b, s:f, s:b, s:f}", "name", r->kernel->name, "chosen",
                r->kernel == braid_kernel_find(&b->c.args, b->cpu_flags), "error", isfinite(r->error) ? r->error : -1.0,
                "agrees", r->error <= layer_case_bound(&b->c), "of_sgemm", sgemm_us / us);
  json_object_update_new(all, times_json(b, r->min_us, us));
  return all;
}

static json_t *reference_json(const struct layer_bench *b) {
  double us = (double)b->c.reference_ns / 1e3;
  const struct braid_kernel *ref = braid_kernel_find(&b->c.args, 0);
  json_t *all = json_pack("{s:s, s:b, s:f, s:b, s:i}", "name", ref->name, "chosen",
                          ref == braid_kernel_find(&b->c.args, b->cpu_flags), "error", 0.0, "agrees", 1, "runs", 1);
  json_object_update_new(all, times_json(b, us, us));
  return all;
}

static void add_layer(struct layer_bench *b) {
  char line[LAYER_LINE_BYTES];
  struct layer_product p = layer_shape_product(b->c.layer);
  double sgemm_us = median_us(b, &b->runner[0]), best = (double)b->c.reference_ns / 1e3, chosen = best;
  json_t *kernels = json_array();
  for (int i = 1; i < b->n; i++) {
    double us = median_us(b, &b->runner[i]);
    best = fmin(best, us);
    if (b->runner[i].kernel == braid_kernel_find(&b->c.args, b->cpu_flags)) chosen = us;
    json_array_append_new(kernels, kernel_json(b, &b->runner[i], sgemm_us));
  }
  json_array_append_new(kernels, reference_json(b));
  b->chosen_us += b->c.layer->count * chosen;
  b->best_us += b->c.layer->count * best;
  b->sgemm_us += b->c.layer->count * sgemm_us;
  json_array_append_new(b->layers,
                        json_pack("{s:s, s:s, s:i, s:I, s:i, s:i, s:i, s:i, s:f, s:o, s:o}", "name", b->c.layer->name,
                                  "shape", layer_shape_text(b->c.layer, line), "count", b->c.layer->count, "macs",
                                  (json_int_t)layer_shape_macs(b->c.layer), "m", p.m, "n", p.n, "k", p.k, "groups",
                                  p.groups, "bound", layer_case_bound(&b->c), "sgemm",
                                  times_json(b, b->runner[0].min_us, sgemm_us), "kernels", kernels));
}

static enum braid_status run_layer(struct layer_bench *b, const struct layer_shape *layer) {
  BRAID_TRY(layer_case_open(layer, b->team, &b->c));
  enum braid_status status = add_runners(b);
  for (int r = 0; r < b->rounds && status == BRAID_OK; r++)
    for (int i = 0; i < b->n; i++) take_turn(b, &b->runner[r % 2 ? b->n - 1 - i : i], r);
  if (status == BRAID_OK) add_layer(b);
  close_runners(b);
  layer_case_close(&b->c);
  return status;
}

/* ---------------------------------------------------------------------------------------------------- text */

static double at(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static void print_times(struct cli_table *t, const json_t *k) {
  cli_table_cell(t, "%.1f", at(k, "min_us"));
  cli_table_cell(t, "%.1f", at(k, "p50_us"));
  cli_table_cell(t, "%.1f", at(k, "gflops"));
  cli_table_cell(t, "%.1f", 100 * at(k, "of_peak"));
}

static void print_kernel(struct cli_table *t, const char *layer, const json_t *k) {
  cli_table_cell(t, "%s", layer);
  cli_table_cell(t, "%s%s", json_string_value(json_object_get(k, "name")),
                 json_is_true(json_object_get(k, "chosen")) ? " *" : "");
  print_times(t, k);
  if (json_object_get(k, "of_sgemm"))
    cli_table_cell(t, "%.2f", at(k, "of_sgemm"));
  else
    cli_table_cell(t, "%s", "");
  cli_table_cell(t, "%s%.1e", json_is_true(json_object_get(k, "agrees")) ? "" : "WRONG ", at(k, "error"));
}

static void print_layer(struct cli_table *t, const json_t *layer) {
  size_t i;
  json_t *k;
  const char *name = json_string_value(json_object_get(layer, "name"));
  json_array_foreach(json_object_get(layer, "kernels"), i, k) print_kernel(t, name, k);
  cli_table_cell(t, "%s", name);
  cli_table_cell(t, "sgemm %dx%dx%d", (int)at(layer, "m"), (int)at(layer, "n"), (int)at(layer, "k"));
  print_times(t, json_object_get(layer, "sgemm"));
  cli_table_cell(t, "%d", 1);
  cli_table_cell(t, "%s", "");
}

static int print_text(const struct layer_bench *b) {
  static const char *const heading[] = {"layer",   "kernel",    "min/us",   "median/us",
                                        "GFLOP/s", "% of peak", "of sgemm", "error"};
  size_t i;
  json_t *layer;
  struct cli_table *t = cli_table_new(CLI_COUNT_OF(heading), heading);
  json_array_foreach(b->layers, i, layer) print_layer(t, layer);
  cli_table_print(t, stdout);
  printf(
      "\n%d thread(s), %d rounds, peak %.1f GFLOP/s (%s); * is what Braid chooses. All layers as often as the network "
      "has them: %.2f ms by the chosen kernels, %.2f ms by the best of each, %.2f ms by sgemm alone (OpenBLAS for "
      "%s)\n",
      b->o->threads, b->rounds, b->peak_gflops, fma_peak_loop(b->cpu_flags), b->chosen_us / 1e3, b->best_us / 1e3,
      b->sgemm_us / 1e3, layer_case_sgemm_core());
  return CLI_DONE;
}

static int report(const struct layer_bench *b) {
  char flags[64];
  if (!b->o->json) return print_text(b);
  return cli_print_json(json_pack("{s:O, s:{s:f, s:f, s:f}, s:i, s:i, s:f, s:s, s:s, s:b, s:s, s:s}", "layers",
                                  b->layers, "totals", "chosen_ms", b->chosen_us / 1e3, "best_ms", b->best_us / 1e3,
                                  "sgemm_ms", b->sgemm_us / 1e3, "threads", b->o->threads, "rounds", b->rounds,
                                  "peak_gflops", b->peak_gflops, "fma_loop", fma_peak_loop(b->cpu_flags), "cpu_flags",
                                  braid_cpu_flags_text(b->cpu_flags, flags, sizeof flags), "agrees", !b->wrong,
                                  "openblas_core", layer_case_sgemm_core(), "version", BRAID_VERSION));
}

/* ------------------------------------------------------------------------------------------------ all layers */

static int read_layers(const struct bench_options *o, struct layer_shapes *out) {
  struct braid_graph *graph;
  if (!o->shapes == !o->net)
    return cli_usage("bench kernels: --shapes FILE or --net MODEL, one of them: whose layers?");
  if (o->shapes) return layer_shapes_read(o->shapes, out) == BRAID_OK ? CLI_DONE : cli_fail(CLI_BAD_INPUT);
  int exit = cli_open_model(o->net, 1, &graph);
  if (exit != CLI_DONE) return exit;
  if (layer_shapes_of(graph, out) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  braid_graph_destroy(&graph);
  return exit;
}

/* Keeps the layers whose names contain one of the words; all where there is none. */
static int choose_layers(struct layer_shapes *shapes, char **words, int n_words) {
  int n = 0;
  for (int i = 0; i < shapes->n; i++) {
    bool wanted = n_words == 0;
    for (int w = 0; w < n_words; w++) wanted |= strstr(shapes->layer[i].name, words[w]) != NULL;
    if (wanted) shapes->layer[n++] = shapes->layer[i];
  }
  shapes->n = n;
  return n > 0 ? CLI_DONE : cli_usage("bench kernels: no layer has such a name; --list shows them");
}

static int list_layers(const struct layer_shapes *shapes) {
  char line[LAYER_LINE_BYTES];
  for (int i = 0; i < shapes->n; i++) puts(layer_shape_text(&shapes->layer[i], line));
  return CLI_DONE;
}

static int run_layers(struct layer_bench *b, const struct layer_shapes *shapes) {
  enum braid_status status = kernel_team_create(b->o->threads, &b->team);
  b->peak_gflops = fma_peak_gflops(b->o->threads, b->cpu_flags);
  for (int i = 0; i < shapes->n && status == BRAID_OK && !cli_interrupted(); i++) {
    cli_progress(shapes->layer[i].name, i, shapes->n);
    status = run_layer(b, &shapes->layer[i]);
  }
  cli_progress("", 1, 1);
  kernel_team_destroy(&b->team);
  if (cli_interrupted()) return CLI_INTERRUPTED;
  return status == BRAID_OK ? report(b) : cli_fail(CLI_FAILED);
}

int bench_kernels(const struct bench_options *o, char **words, int n_words) {
  struct layer_shapes shapes = {0};
  struct layer_bench b = {.o = o, .rounds = o->rounds ? o->rounds : ROUNDS, .cpu_flags = braid_cpu_flags()};
  int exit = read_layers(o, &shapes);
  if (exit == CLI_DONE) exit = choose_layers(&shapes, words, n_words);
  b.layers = json_array();
  if (exit == CLI_DONE) exit = o->list ? list_layers(&shapes) : run_layers(&b, &shapes);
  json_decref(b.layers);
  layer_shapes_free(&shapes);
  return exit == CLI_DONE && b.wrong ? CLI_FAILED : exit;
}
