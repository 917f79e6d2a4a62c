/* SPDX-License-Identifier: Apache-2.0
 * Opening models by name: the zoo or an ONNX file, with the reference kernels as the evaluator of constants. */
#include "braid/runtime.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "exec/bind.h"

/* ------------------------------------------------------------------------------------------- evaluator */

static enum braid_status evaluate(void *ctx, enum braid_op op, const union braid_attrs *attrs,
                                  const struct braid_tensor *in, const bool *present, int n_in,
                                  struct braid_tensor *out) {
  (void)ctx;
  if (n_in > BRAID_MAX_OPERANDS)
    return braid_fail(BRAID_EUNSUPPORTED, "%s with %d operands; at most %d can be run", braid_op_name(op), n_in,
                      BRAID_MAX_OPERANDS);
  struct braid_kernel_args *args = braid_calloc(1, sizeof *args);
  if (!args) return braid_fail(BRAID_ENOMEM, "no memory to evaluate %s", braid_op_name(op));
  args->op = op;
  if (attrs) args->attrs = *attrs;
  args->n_in = n_in;
  args->out = *out;
  for (int k = 0; k < n_in; k++) {
    args->present[k] = args->constant[k] = present ? present[k] : true;
    if (args->present[k]) args->in[k] = in[k];
  }
  enum braid_status status = exec_evaluate(args);
  braid_free(args);
  return status;
}

struct braid_evaluator braid_reference_evaluator(void) {
  return (struct braid_evaluator){evaluate, NULL};
}

/* ------------------------------------------------------------------------------------------- near names */

enum { MAX_NAME = 64 };

static int min3(int a, int b, int c) {
  return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

/* Levenshtein distance, by rows. */
static int distance(const char *a, const char *b) {
  int row[MAX_NAME + 1], n = (int)strnlen(b, MAX_NAME);
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 0; a[i] && i < MAX_NAME; i++) {
    int diagonal = row[0];
    row[0] = i + 1;
    for (int j = 0; j < n; j++) {
      int substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = min3(substituted, row[j] + 1, diagonal + 1);
    }
  }
  return row[n];
}

static bool is_near(const char *name, const char *zoo) {
  return distance(name, zoo) <= 1 + (int)strlen(zoo) / 4 || (strlen(name) >= 3 && strstr(zoo, name)) ||
         strstr(name, zoo);
}

/* " Did you mean a, b?" or every name there is. */
static void suggest(const char *name, char *buf, size_t size) {
  int n, found = 0;
  const struct braid_zoo_entry *zoo = braid_zoo(&n);
  for (int i = 0; i < n; i++) found += is_near(name, zoo[i].name);
  size_t at = (size_t)snprintf(buf, size, found ? "did you mean " : "the zoo has ");
  for (int i = 0, listed = 0; i < n && at < size; i++) {
    if (found && !is_near(name, zoo[i].name)) continue;
    at += (size_t)snprintf(buf + at, size - at, "%s%s", listed++ ? ", " : "", zoo[i].name);
  }
  if (found && at < size) snprintf(buf + at, size - at, "?");
}

/* ---------------------------------------------------------------------------------------------- opening */

static bool is_zoo_name(const char *name) {
  int n;
  const struct braid_zoo_entry *zoo = braid_zoo(&n);
  for (int i = 0; i < n; i++)
    if (strcmp(zoo[i].name, name) == 0) return true;
  return false;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static enum braid_status unknown(const char *model) {
  struct stat st;
  char names[1024];
  suggest(model, names, sizeof names);
  if (stat(model, &st) == 0)
    return braid_fail(BRAID_EINVAL, "%s: not a name of the zoo, and a file must be called *.onnx; %s", model, names);
  return braid_fail(BRAID_ENOTFOUND, "%s: no such network; %s", model, names);
}

static enum braid_status load(const char *model, const struct braid_open_opts *opts, struct braid_graph **out) {
  if (is_zoo_name(model)) return braid_zoo_build(model, opts->batch, opts->seed, out);
  if (!ends_with(model, ".onnx")) return unknown(model);
  struct braid_evaluator evaluator = braid_reference_evaluator();
  struct braid_onnx_opts onnx = {.evaluator = &evaluator,
                                 .batch = opts->batch,
                                 .max_bytes = opts->max_bytes,
                                 .name = opts->name,
                                 .one_file = opts->one_file};
  return braid_onnx_load(model, &onnx, out);
}

enum braid_status braid_model_open(const char *model, const struct braid_open_opts *opts, struct braid_graph **out) {
  static const struct braid_open_opts defaults;
  if (!opts) opts = &defaults;
  if (opts->batch < 0) return braid_fail(BRAID_EINVAL, "%s: a batch of %d is not possible", model, opts->batch);
  struct braid_graph *graph = NULL;
  BRAID_TRY(load(model, opts, &graph));
  enum braid_status status = braid_graph_seal(graph, BRAID_PASS_ALL & ~opts->no_passes);
  if (status != BRAID_OK) {
    status = braid_fail_in(status, "%s", model);
    braid_graph_destroy(&graph);
    return status;
  }
  *out = graph;
  return BRAID_OK;
}
