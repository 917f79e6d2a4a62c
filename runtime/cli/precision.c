/* SPDX-License-Identifier: Apache-2.0 */
#include "precision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_MOST = 8, CALIBRATE_MOST = 256 };

/* ---------------------------------------------------------------------------------------------- options */

static int parse_percentile(const char *text, double *out) {
  char *end;
  *out = strtod(text, &end);
  if (end != text && *end == '\0' && *out > 0 && *out <= 100) return CLI_DONE;
  return cli_usage("--calibration percentile:P: '%s' is no percentage above 0 and up to 100", text);
}

static int parse_calibration(const char *text, struct braid_calibration_opts *out) {
  char name[16];
  const char *colon = strchr(text, ':');
  snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - text) : (int)sizeof name, text);
  if (!braid_calibration_find(name, &out->method) || (colon && out->method != BRAID_CALIBRATE_PERCENTILE))
    return cli_usage("--calibration: '%s' is none of minmax, percentile, percentile:P, entropy", text);
  out->percentile = 99.999; /* docs/kernels.md says what came of others */
  return colon ? parse_percentile(colon + 1, &out->percentile) : CLI_DONE;
}

static int parse(const struct cli_precision *o, enum braid_precision *precision, struct braid_calibration_opts *how) {
  const char *name = o->name ? o->name : "fp32";
  if (!braid_precision_find(name, precision)) return cli_usage("--precision: '%s' is none of fp32, bf16, int8", name);
  bool calibrates = *precision == BRAID_PRECISION_INT8;
  if (o->calibrate.n && !calibrates) return cli_usage("--calibrate goes with --precision int8");
  if (o->calibration && !calibrates) return cli_usage("--calibration goes with --precision int8");
  return parse_calibration(o->calibration ? o->calibration : "percentile", how);
}

int precision_parse(const struct cli_precision *o, enum braid_precision *out) {
  struct braid_calibration_opts how = {0};
  return parse(o, out, &how);
}

/* ------------------------------------------------------------------------------------------ calibrating */

static int observe(struct braid_calibration *c, struct source *s, int frames) {
  for (int i = 0; i < frames && !cli_interrupted(); i++) {
    const struct braid_tensor *in;
    int n_in, exit = source_load(s, i, &in, &n_in);
    if (exit != CLI_DONE) return exit;
    if (braid_calibration_observe(c, in, n_in) != BRAID_OK) return cli_fail(CLI_FAILED);
    if (frames > 1) cli_progress("calibrating", i + 1, frames);
  }
  return cli_interrupted() ? CLI_INTERRUPTED : CLI_DONE;
}

/* What was given for it, or some of the inputs: then the answers look better than those of other inputs would. */
static int observe_samples(struct braid_calibration *c, const struct braid_graph *graph, const struct cli_precision *o,
                           struct source *inputs) {
  if (o->calibrate.n == 0 && inputs) {
    int frames = source_frames(inputs) < FRAMES_MOST ? source_frames(inputs) : FRAMES_MOST;
    braid_log(BRAID_LOG_WARN, "int8: calibrated with %d of the inputs themselves (--calibrate DIR names others)",
              frames);
    return observe(c, inputs, frames);
  }
  struct source *samples;
  int exit = source_open(graph, &o->calibrate, o->preprocess, NULL, &samples);
  if (exit != CLI_DONE) return exit;
  int frames = source_frames(samples) < CALIBRATE_MOST ? source_frames(samples) : CALIBRATE_MOST;
  exit = observe(c, samples, frames);
  source_close(&samples);
  return exit;
}

static int lower(const struct braid_graph *graph, enum braid_precision precision, const struct braid_range *range,
                 struct braid_graph **out) {
  return braid_graph_lower(graph, precision, range, out) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

/* A worker of its own: what it runs is no part of what is measured or traced. It is one, however many there are
 * elsewhere: slices, like other kernels, may change the last bits of what is seen, and with them the network's hash. */
static int calibrate(const struct braid_graph *graph, const struct cli_precision *o,
                     const struct braid_calibration_opts *how, struct source *inputs, struct braid_graph **out) {
  struct braid_pool_opts opts = {.workers = 1, .name = "calibrate"};
  struct braid_pool *pool = NULL;
  struct braid_calibration *c = NULL;
  if (braid_pool_create(&opts, &pool) != BRAID_OK) return cli_fail(CLI_FAILED);
  bool ready = braid_calibration_create(pool, graph, how, &c) == BRAID_OK;
  int exit = ready ? observe_samples(c, graph, o, inputs) : cli_fail(CLI_FAILED);
  if (exit == CLI_DONE) exit = lower(graph, BRAID_PRECISION_INT8, braid_calibration_ranges(c), out);
  braid_calibration_destroy(&c);
  braid_pool_destroy(&pool);
  return exit;
}

int precision_lower(const struct braid_graph *graph, const struct cli_precision *o, struct source *inputs,
                    struct braid_graph **out) {
  enum braid_precision precision;
  struct braid_calibration_opts how = {.cpu_flags = braid_cpu_flags()};
  int exit = parse(o, &precision, &how);
  if (exit != CLI_DONE) return exit;
  if (precision != BRAID_PRECISION_INT8) return lower(graph, precision, NULL, out);
  return calibrate(graph, o, &how, inputs, out);
}

static void destroy_graph(void *graph) {
  struct braid_graph *full = graph;
  braid_graph_destroy(&full);
}

/* The graph in lower precision borrows its constants: it takes the other along. */
static int lower_opened(struct braid_graph *full, const struct cli_precision *o, struct braid_graph **out) {
  struct braid_graph *low;
  int exit = precision_lower(full, o, NULL, &low);
  if (exit != CLI_DONE) {
    braid_graph_destroy(&full);
    return exit;
  }
  if (braid_graph_adopt(low, full, destroy_graph) != BRAID_OK) {
    braid_graph_destroy(&low);
    return cli_fail(CLI_FAILED);
  }
  *out = low;
  return CLI_DONE;
}

int precision_open(const char *model, int batch, const struct cli_precision *o, struct braid_graph **out) {
  enum braid_precision precision;
  struct braid_graph *full;
  int exit = precision_parse(o, &precision);
  if (exit == CLI_DONE && precision == BRAID_PRECISION_INT8 && o->calibrate.n == 0) {
    if (!cli_in_zoo(model))
      return cli_usage("--precision int8 needs --calibrate FILE: pictures or arrays such as %s will be given", model);
    braid_log(BRAID_LOG_WARN, "int8: %s is calibrated with pseudo-random inputs (--calibrate DIR names others)", model);
  }
  if (exit == CLI_DONE) exit = cli_open_model(model, batch, &full);
  if (exit != CLI_DONE) return exit;
  if (precision != BRAID_PRECISION_FP32) return lower_opened(full, o, out);
  *out = full;
  return CLI_DONE;
}

/* ------------------------------------------------------------------------------------------- comparing */

/* Scores of classes, an image a row: all behind the second dimension is 1. */
static bool is_scores(const struct braid_shape *shape) {
  for (int d = 2; d < shape->rank; d++)
    if (shape->dim[d] != 1) return false;
  return shape->rank >= 2 && shape->dim[1] >= 5;
}

static int64_t first_of(const float *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

static int rank_of(const float *x, int64_t n, int64_t class) {
  int above = 0;
  for (int64_t i = 0; i < n; i++) above += x[i] > x[class];
  return above;
}

static void compare_scores(struct precision_sums *s, const struct braid_tensor *want, const struct braid_tensor *got) {
  int64_t classes = want->shape.dim[1];
  for (int image = 0; image < want->shape.dim[0]; image++) {
    const float *x = (const float *)want->data + image * classes, *y = (const float *)got->data + image * classes;
    int64_t first = first_of(x, classes);
    s->images++;
    s->same_top1 += first == first_of(y, classes);
    s->same_top5 += rank_of(y, classes, first) < 5;
  }
}

static void compare_floats(struct precision_sums *s, const struct braid_tensor *want, const struct braid_tensor *got) {
  const float *x = want->data, *y = got->data;
  int64_t n = braid_shape_elements(&want->shape);
  for (int64_t i = 0; i < n; i++) {
    double apart = fabs((double)x[i] - (double)y[i]);
    if (!(apart <= s->worst)) s->worst = apart;
    s->square += apart * apart;
    s->peak = fmax(s->peak, fabs((double)x[i]));
  }
  s->values += n;
  if (is_scores(&want->shape)) compare_scores(s, want, got);
}

/* Outputs may be of any type; *out is float32, and freed by braid_free. */
static enum braid_status as_floats(const struct braid_tensor *t, struct braid_tensor *out) {
  struct braid_evaluator evaluator = braid_reference_evaluator();
  union braid_attrs cast = {.cast = {BRAID_F32}};
  *out = (struct braid_tensor){NULL, BRAID_F32, t->shape};
  out->data = braid_alloc_aligned((size_t)braid_shape_elements(&t->shape) * sizeof(float) + 1);
  if (!out->data) return braid_fail(BRAID_ENOMEM, "no memory to compare outputs");
  return evaluator.eval(evaluator.ctx, BRAID_OP_CAST, &cast, t, NULL, 1, out);
}

enum braid_status precision_compare(struct precision_sums *s, const struct braid_tensor *want,
                                    const struct braid_tensor *got) {
  struct braid_tensor x = {0}, y = {0};
  enum braid_status status = as_floats(want, &x);
  if (status == BRAID_OK) status = as_floats(got, &y);
  if (status == BRAID_OK) compare_floats(s, &x, &y);
  braid_free(x.data);
  braid_free(y.data);
  return status;
}

static json_t *share(int same, int of) { return of ? json_real((double)same / of) : json_null(); }

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *precision_json(enum braid_precision precision, const struct precision_sums *s, double ms, double fp32_ms) {
  double noise = s->values ? s->square / (double)s->values : 0;
  return json_pack("{s:s, s:o, s:o, s:i, s:o, s:o, s:f, s:f, s:o}", "name", braid_precision_name(precision),
                   "agreement_top1", share(s->same_top1, s->images), "agreement_top5", share(s->same_top5, s->images),
                   "images", s->images, "max_abs_diff", number(s->worst), "psnr_db",
                   number(20 * log10(s->peak) - 10 * log10(noise)), "ms", ms, "fp32_ms", fp32_ms, "speedup",
                   number(fp32_ms / ms));
}

static double at(const json_t *precision, const char *key) { return json_number_value(json_object_get(precision, key)); }

void precision_print(const json_t *p) {
  printf("precision %s: %.2f ms, fp32 %.2f ms (%.2f times as fast)", json_string_value(json_object_get(p, "name")),
         at(p, "ms"), at(p, "fp32_ms"), at(p, "speedup"));
  if (at(p, "images") > 0)
    printf("; the same first class in %.1f %% of %.0f images, fp32's among the first five in %.1f %%",
           100 * at(p, "agreement_top1"), at(p, "images"), 100 * at(p, "agreement_top5"));
  printf("; outputs differ by %.3g at most", at(p, "max_abs_diff"));
  if (json_is_real(json_object_get(p, "psnr_db"))) printf(", PSNR %.1f dB", at(p, "psnr_db"));
  putchar('\n');
}
