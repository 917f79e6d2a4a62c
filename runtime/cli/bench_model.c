/* SPDX-License-Identifier: Apache-2.0
 *
 * braid bench model: a network by Braid and by other runtimes, on this machine, in the same session.
 *
 * All, Braid included, are processes that have loaded the same ONNX file and hold the same inputs. They take turns, in
 * alternating order: a round has one turn of each, a turn is a run that does not count (it finds the caches full of
 * another's weights) and some that do; their median is what the round has measured. A ratio is one of two turns of the
 * same round, so that what the machine does meanwhile hits both. */
#include "bench_model.h"

#include "fma_peak.h"
#include "io.h"
#include "precision.h"

#include <math.h>
#include <string.h>

enum { TURN_RUNS_MAX = 16 };
static const double turn_ms = 30;     /* a turn has so many runs as take this, one at least */
static const double tolerance = 1e-3; /* of the largest value of an output */
/* Scores near 0 come out of exponentials that are off by 1e-7 or so, whatever the score. */
static const double least_scale = 1e-3;

static const char *path_in(const struct contest *c, const char *stem, const char *name, int i, char buf[192]) {
  snprintf(buf, 192, "%s/%s-%s%d.npy", c->dir, stem, name, i);
  return buf;
}

static const char *peer_name(const struct contest *c, int i) {
  return c->peers->peer[i].name;
}

static void drop(struct contest *c, int i) {
  struct contestant *k = &c->contestant[i];
  k->out = true;
  snprintf(k->why, sizeof k->why, "%s", braid_error());
  child_stop(&k->child);
  fprintf(stderr, "braid: %s: %s is left out: %s\n", c->model, peer_name(c, i), k->why);
}

/* Braid's failures end the benchmark, those of others end their part in it. */
static enum braid_status settle(struct contest *c, int i, enum braid_status status) {
  if (cli_interrupted()) return braid_fail(BRAID_ECLOSED, "interrupted");
  if (status == BRAID_OK || i == 0) return status;
  drop(c, i);
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- files */

static enum braid_status model_file(const struct contest *c, char buf[512]) {
  const char *dot = strrchr(c->model, '.');
  bool file = dot && strcmp(dot, ".onnx") == 0;
  snprintf(buf, 512, "%s", c->model);
  if (!file) snprintf(buf, 512, "%s/model.onnx", c->dir);
  return file ? BRAID_OK : braid_onnx_save(c->graph, buf);
}

static enum braid_status write_inputs(const struct contest *c, json_t *list) {
  struct source *source;
  const struct braid_tensor *in = NULL;
  int n_in = 0, n;
  char path[192];
  const int *id = braid_graph_inputs(c->graph, &n);
  if (source_open(c->graph, &(struct cli_list){0}, NULL, NULL, &source) != CLI_DONE ||
      source_load(source, 0, &in, &n_in) != CLI_DONE)
    return braid_fail(BRAID_EIO, "no inputs for %s", c->model);
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < n_in && status == BRAID_OK; i++) {
    status = io_npy_write(path_in(c, "in", "", i, path), &in[i]);
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:o, s:s}", "name", braid_graph_node(c->graph, id[i])->name, "dtype",
                                    braid_dtype_name(in[i].dtype), "dims", cli_shape_json(&in[i].shape), "file", path));
  }
  source_close(&source);
  return status;
}

static enum braid_status write_manifest(const struct contest *c, int i, const char *file, json_t *inputs) {
  int n;
  char path[192];
  const int *id = braid_graph_outputs(c->graph, &n);
  json_t *outputs = json_array();
  for (int k = 0; k < n; k++)
    json_array_append_new(outputs, json_pack("{s:s, s:s}", "name", braid_graph_node(c->graph, id[k])->name, "file",
                                             path_in(c, "out", peer_name(c, i), k, path)));
  const char *precision = c->peers->peer[i].precision;
  json_t *all =
      json_pack("{s:s, s:i, s:s, s:O, s:o}", "model", file, "threads", c->o->threads, "precision",
                precision ? precision : "fp32", "inputs", inputs, "outputs", outputs);
  int failed = json_dump_file(all, c->contestant[i].manifest, JSON_COMPACT);
  json_decref(all);
  return failed ? braid_fail(BRAID_EIO, "%s: cannot be written", c->contestant[i].manifest) : BRAID_OK;
}

static enum braid_status prepare(struct contest *c) {
  char file[512];
  json_t *inputs = json_array();
  enum braid_status status = model_file(c, file);
  if (status == BRAID_OK) status = write_inputs(c, inputs);
  for (int i = 0; i < c->peers->n && status == BRAID_OK; i++) {
    struct contestant *k = &c->contestant[i];
    snprintf(k->manifest, sizeof k->manifest, "%s/%s.json", c->dir, peer_name(c, i));
    snprintf(k->log, sizeof k->log, "%s/%s.log", c->dir, peer_name(c, i));
    k->round_ms = braid_calloc((size_t)c->rounds, sizeof *k->round_ms);
    status = k->round_ms ? write_manifest(c, i, file, inputs) : braid_fail(BRAID_ENOMEM, "no memory for rounds");
  }
  json_decref(inputs);
  return status;
}

/* -------------------------------------------------------------------------------------------- starting, checking */

/* Fresh processes some times over, taking turns; the last ones stay. */
static enum braid_status start_all(struct contest *c) {
  for (int s = 0; s < MODEL_STARTS; s++)
    for (int i = 0; i < c->peers->n; i++) {
      struct contestant *k = &c->contestant[i];
      int64_t load_ns = 0, first_ns = 0;
      if (k->out) continue;
      child_stop(&k->child);
      BRAID_TRY(settle(c, i, peer_start(c->peers, i, k->manifest, k->log, &k->child, &load_ns, &first_ns)));
      k->load_ms[s] = cli_ms(load_ns);
      k->first_ms[s] = cli_ms(first_ns);
    }
  return BRAID_OK;
}

static double value_at(const struct braid_tensor *t, int64_t i) {
  switch (t->dtype) {
  case BRAID_F32:
    return (double)((const float *)t->data)[i];
  case BRAID_F64:
    return ((const double *)t->data)[i];
  case BRAID_I64:
    return (double)((const int64_t *)t->data)[i];
  case BRAID_I32:
    return (double)((const int32_t *)t->data)[i];
  case BRAID_U8:
  case BRAID_BOOL:
    return ((const uint8_t *)t->data)[i];
  case BRAID_I8:
    return ((const int8_t *)t->data)[i];
  default:
    return (double)NAN; /* differs from everything */
  }
}

/* The largest difference by the largest value, or by least_scale where all are smaller; infinite where it cannot be
 * told. Types may differ: OpenCV knows only floats. */
static double difference(const struct braid_tensor *want, const struct braid_tensor *got) {
  int64_t n = braid_shape_elements(&want->shape);
  double scale = least_scale, worst = 0;
  if (braid_shape_elements(&got->shape) != n) return (double)INFINITY;
  for (int64_t i = 0; i < n; i++) {
    double w = value_at(want, i), g = value_at(got, i), d = fabs(w - g);
    if (w == g && isinf(w)) continue;
    if (!isfinite(w) || !isfinite(d)) return (double)INFINITY;
    scale = fmax(scale, fabs(w));
    worst = fmax(worst, d);
  }
  return worst / scale;
}

static enum braid_status compare_output(const struct contest *c, int i, int k, double *out) {
  struct braid_tensor want, got;
  char path[192];
  BRAID_TRY(io_npy_read(path_in(c, "out", peer_name(c, 0), k, path), &want));
  enum braid_status status = io_npy_read(path_in(c, "out", peer_name(c, i), k, path), &got);
  if (status == BRAID_OK) {
    *out = difference(&want, &got);
    braid_free(got.data);
  }
  braid_free(want.data);
  return status;
}

static enum braid_status compare(struct contest *c, int i) {
  struct contestant *k = &c->contestant[i];
  int n;
  BRAID_TRY(peer_write(&k->child, k->log));
  const int *id = braid_graph_outputs(c->graph, &n);
  for (int o = 0; o < n && i > 0; o++) {
    double d;
    BRAID_TRY(compare_output(c, i, o, &d));
    k->difference = fmax(k->difference, d);
    if (d <= tolerance || c->peers->peer[i].precision) continue; /* lower precision differs; how much is reported */
    k->differs = true;
    return braid_fail(BRAID_EMISMATCH,
                      "its output '%s' differs from Braid's by %.3g of the largest value (at most %g may)",
                      braid_graph_node(c->graph, id[o])->name, d, tolerance);
  }
  return BRAID_OK;
}

static enum braid_status check_all(struct contest *c) {
  for (int i = 0; i < c->peers->n; i++)
    if (!c->contestant[i].out) BRAID_TRY(settle(c, i, compare(c, i)));
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- rounds */

static enum braid_status take_turn(struct contestant *k, double *ms) {
  double runs[TURN_RUNS_MAX];
  int64_t ns;
  BRAID_TRY(peer_run(&k->child, k->log, &ns));
  int n = (int)(turn_ms / cli_ms(ns)) + 1;
  if (n > TURN_RUNS_MAX) n = TURN_RUNS_MAX;
  for (int i = 0; i < n; i++) {
    BRAID_TRY(peer_run(&k->child, k->log, &ns));
    runs[i] = cli_ms(ns);
  }
  struct cli_stats s = cli_stats_of(runs, n);
  if (k->min_ms == 0 || s.min < k->min_ms) k->min_ms = s.min;
  *ms = s.p50;
  return BRAID_OK;
}

static enum braid_status run_rounds(struct contest *c) {
  for (int r = 0; r < c->rounds; r++)
    for (int j = 0; j < c->peers->n; j++) {
      int i = r % 2 ? c->peers->n - 1 - j : j;
      cli_progress(c->model, r * c->peers->n + j, c->rounds * c->peers->n);
      if (!c->contestant[i].out) BRAID_TRY(settle(c, i, take_turn(&c->contestant[i], &c->contestant[i].round_ms[r])));
    }
  cli_progress(c->model, 1, 1);
  return BRAID_OK;
}

static void stop_all(struct contest *c) {
  for (int i = 0; i < c->peers->n; i++) {
    struct contestant *k = &c->contestant[i];
    if (k->child.pid > 0) k->peak_rss_bytes = peer_peak_rss_bytes(&k->child);
    child_stop(&k->child);
  }
}

/* --------------------------------------------------------------------------------------------- one and all */

static enum braid_status hold_contest(struct contest *c) {
  BRAID_TRY(tempdir_make("model", c->dir));
  BRAID_TRY(prepare(c));
  BRAID_TRY(start_all(c));
  BRAID_TRY(check_all(c));
  BRAID_TRY(run_rounds(c));
  stop_all(c);
  c->peak_gflops = fma_peak_gflops(c->o->threads, braid_cpu_flags());
  return BRAID_OK;
}

static void close_contest(struct contest *c) {
  stop_all(c);
  for (int i = 0; i < c->peers->n; i++) braid_free(c->contestant[i].round_ms);
  tempdir_remove(c->dir);
  braid_graph_destroy(&c->graph);
}

static bool any_differs(const struct contest *c) {
  for (int i = 0; i < c->peers->n; i++)
    if (c->contestant[i].differs) return true;
  return false;
}

static int bench_net(const struct bench_options *o, const struct peers *peers, const char *model, json_t *nets,
                     bool *differs) {
  struct contest c = {.o = o, .peers = peers, .model = model, .rounds = o->rounds ? o->rounds : 15};
  int exit = cli_open_model(model, 1, &c.graph);
  if (exit != CLI_DONE) return exit;
  fprintf(stderr, "braid: %s\n", model);
  json_t *net = hold_contest(&c) == BRAID_OK ? contest_json(&c) : NULL;
  if (net && !o->json) contest_print(net);
  if (net)
    json_array_append_new(nets, net);
  else
    exit = cli_interrupted() ? CLI_INTERRUPTED : cli_fail(CLI_FAILED);
  *differs |= any_differs(&c);
  close_contest(&c);
  return exit;
}

static int report(const struct bench_options *o, const struct peers *peers, json_t *nets) {
  json_t *means = contest_geomeans(nets);
  if (o->json)
    return cli_print_json(json_pack("{s:O, s:o, s:O, s:i, s:s, s:s}", "nets", nets, "geomean", means, "missing",
                                    peers->missing, "threads", o->threads, "fma_loop", fma_peak_loop(braid_cpu_flags()),
                                    "version", BRAID_VERSION));
  const char *name;
  json_t *mean;
  json_object_foreach(means, name, mean) printf(
      "%s takes %.3f times as long as braid (geometric mean over the nets that it ran)\n", name, json_real_value(mean));
  json_decref(means);
  return CLI_DONE;
}

int bench_model(const struct bench_options *o, char **models, int n_models) {
  struct peers peers = {0};
  char dir[TEMPDIR_BYTES];
  bool differs = false;
  enum braid_precision precision;
  int parsed = precision_parse(&(struct cli_precision){.name = o->precision}, &precision);
  if (parsed != CLI_DONE) return parsed;
  if (n_models == 0) return cli_usage("bench model: which networks? ('braid models' lists the built-in ones)");
  if (tempdir_make("peers", dir) != BRAID_OK) return cli_fail(CLI_FAILED);
  json_t *nets = json_array();
  int exit = peers_open(o->peers, o->precision, o->peer_dir, dir, &peers);
  for (int i = 0; i < n_models && exit == CLI_DONE; i++) exit = bench_net(o, &peers, models[i], nets, &differs);
  if (exit == CLI_DONE) exit = report(o, &peers, nets);
  json_decref(nets);
  peers_close(&peers);
  tempdir_remove(dir);
  return exit == CLI_DONE && differs ? CLI_FAILED : exit;
}
