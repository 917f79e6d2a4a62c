/* SPDX-License-Identifier: Apache-2.0
 * One case of the ONNX backend test suite: see onnx_case.h. */
#include "onnx_case.h"

#include "io.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

enum { VALUES_MAX = 64, FILE_BYTES_MAX = 1 << 30 };

/* The tensors of a data set, in the order of the model's inputs or outputs. */
struct value_set {
  int n;
  struct braid_tensor tensor[VALUES_MAX];
};

static void value_set_free(struct value_set *set) {
  for (int i = 0; i < set->n; i++) braid_free(set->tensor[i].data);
  set->n = 0;
}

const char *case_status_name(enum case_status status) {
  static const char *const name[] = {"passed", "failed", "unsupported"};
  return name[status];
}

static bool exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0;
}

bool onnx_case_is(const char *dir) {
  char path[4096];
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  return exists(path);
}

static bool verdict(struct onnx_case *c, enum case_status status, const char *format, ...) BRAID_PRINTF(3, 4);
/* Always false: "no further". */
static bool verdict(struct onnx_case *c, enum case_status status, const char *format, ...) {
  va_list args;
  va_start(args, format);
  c->status = status;
  vsnprintf(c->reason, sizeof c->reason, format, args);
  va_end(args);
  return false;
}

/* Failures of ours are failures of the case, unless we said that it is beyond us. */
static bool verdict_of(struct onnx_case *c, enum braid_status status, const char *path) {
  const char *why = braid_error();
  size_t n = path ? strlen(path) : 0;
  if (path && strncmp(why, path, n) == 0 && strncmp(why + n, ": ", 2) == 0) why += n + 2;
  return verdict(c, status == BRAID_EUNSUPPORTED ? CASE_UNSUPPORTED : CASE_FAILED, "%s", why);
}

/* ------------------------------------------------------------------------------------------- the data */

static enum braid_status read_pb(const char *path, struct braid_tensor *out) {
  uint8_t *data;
  size_t size;
  BRAID_TRY(io_read_file(path, FILE_BYTES_MAX, &data, &size));
  enum braid_status status = braid_onnx_read_tensor(data, size, out);
  braid_free(data);
  return status == BRAID_OK ? BRAID_OK : braid_fail_in(status, "%s", path);
}

/* What is no tensor (sequences, optional values, strings) cannot be read: then the model says more than the data do. */
static bool unreadable(const char *model, enum braid_status status, struct onnx_case *c) {
  char why[sizeof c->reason];
  struct braid_graph *graph = NULL;
  struct braid_evaluator evaluator = braid_reference_evaluator();
  struct braid_onnx_opts opts = {.evaluator = &evaluator};
  snprintf(why, sizeof why, "%s", braid_error());
  enum braid_status loading = braid_onnx_load(model, &opts, &graph);
  braid_graph_destroy(&graph);
  if (loading == BRAID_EUNSUPPORTED) return verdict_of(c, loading, model);
  return verdict(c, status == BRAID_EUNSUPPORTED ? CASE_UNSUPPORTED : CASE_FAILED, "%s", why);
}

/* DIR/test_data_set_S/WHAT_0.pb and on, as many as there are. */
static bool read_values(const char *dir, int s, const char *what, struct value_set *set, struct onnx_case *c) {
  char path[4096], model[4096];
  snprintf(model, sizeof model, "%s/model.onnx", dir);
  set->n = 0;
  for (int i = 0; i < VALUES_MAX; i++) {
    snprintf(path, sizeof path, "%s/test_data_set_%d/%s_%d.pb", dir, s, what, i);
    if (!exists(path)) return true;
    enum braid_status status = read_pb(path, &set->tensor[i]);
    if (status != BRAID_OK) {
      value_set_free(set);
      return unreadable(model, status, c);
    }
    set->n++;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------- comparing */

/* |a - b| <= 1e-7 + 1e-3 |b|, the suite's own tolerance; NaN equals NaN and infinities themselves. */
static bool close_to(double a, double b) {
  if (a == b || (isnan(a) && isnan(b))) return true;
  return isfinite(b) && fabs(a - b) <= 1e-7 + 1e-3 * fabs(b);
}

/* The value of an element where the tolerance applies. To bfloat16 the suite applies it to the bits, as it stores them.
 */
static bool float_at(const struct braid_tensor *t, int64_t i, double *out) {
  if (t->dtype == BRAID_F32) *out = (double)((const float *)t->data)[i];
  if (t->dtype == BRAID_F64) *out = ((const double *)t->data)[i];
  if (t->dtype == BRAID_BF16) *out = (double)((const uint16_t *)t->data)[i];
  return t->dtype == BRAID_F32 || t->dtype == BRAID_F64 || t->dtype == BRAID_BF16;
}

static bool equal_value(const struct braid_tensor *got, const struct braid_tensor *want, int k, struct onnx_case *c) {
  char x[96], y[96];
  size_t item = braid_dtype_bytes(want->dtype);
  if (got->dtype != want->dtype || !braid_shape_equal(&got->shape, &want->shape))
    return verdict(c, CASE_FAILED, "output %d is %s %s, expected %s %s", k, braid_dtype_name(got->dtype),
                   braid_shape_text(&got->shape, x, sizeof x), braid_dtype_name(want->dtype),
                   braid_shape_text(&want->shape, y, sizeof y));
  for (int64_t i = 0, n = braid_shape_elements(&want->shape); i < n; i++) {
    double a, b;
    if (float_at(got, i, &a) && float_at(want, i, &b)) {
      if (!close_to(a, b))
        return verdict(c, CASE_FAILED, "element %lld of output %d is %.9g, expected %.9g", (long long)i, k, a, b);
    } else if (memcmp((char *)got->data + (size_t)i * item, (char *)want->data + (size_t)i * item, item) != 0) {
      return verdict(c, CASE_FAILED, "element %lld of output %d differs (%s)", (long long)i, k,
                     braid_dtype_name(want->dtype));
    }
  }
  return true;
}

/* --------------------------------------------------------------------------------------------- running */

/* Which inputs become constants. */
enum binding { BIND_NOTHING, BIND_LISTS, BIND_ALL };

/* The first input is what a network computes on, the others may be parameters in all but name. */
static bool bind_as_constant(enum binding how, const struct value_set *in, int k) {
  return how == BIND_ALL || (how == BIND_LISTS && k > 0 && in->tensor[k].shape.rank <= 1);
}

/* `run_in` gets those that stay inputs, which keep their order. */
static enum braid_status load(const char *path, const struct value_set *in, enum binding how, struct value_set *run_in,
                              struct braid_graph **out) {
  struct braid_evaluator evaluator = braid_reference_evaluator();
  struct value_set known = *in;
  struct braid_onnx_opts opts = {.evaluator = &evaluator, .input = known.tensor, .n_inputs = known.n};
  run_in->n = 0;
  for (int k = 0; k < known.n; k++) {
    if (bind_as_constant(how, in, k)) continue;
    run_in->tensor[run_in->n++] = known.tensor[k];
    known.tensor[k].data = NULL;
  }
  BRAID_TRY(braid_onnx_load(path, &opts, out));
  enum braid_status status = braid_graph_seal(*out, BRAID_PASS_ALL);
  if (status == BRAID_OK) status = braid_graph_check(*out);
  if (status != BRAID_OK) braid_graph_destroy(out);
  return status;
}

static enum braid_status allocate_outputs(const struct braid_graph *graph, struct value_set *out) {
  int n;
  const int *ids = braid_graph_outputs(graph, &n);
  if (n > VALUES_MAX) return braid_fail(BRAID_EUNSUPPORTED, "%d outputs, at most %d are compared", n, VALUES_MAX);
  for (out->n = 0; out->n < n; out->n++) {
    const struct braid_node *node = braid_graph_node(graph, ids[out->n]);
    void *data = braid_alloc_aligned(node->bytes ? node->bytes : 1);
    if (!data) return braid_fail(BRAID_ENOMEM, "no memory for '%s'", node->name);
    out->tensor[out->n] = (struct braid_tensor){data, node->dtype, node->shape};
  }
  return BRAID_OK;
}

static enum braid_status run_graph(const struct braid_graph *graph, const struct case_machine *machine,
                                   const struct value_set *in, struct value_set *out) {
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 1, .cpu_flags = machine->cpu_flags};
  struct braid_program *program;
  BRAID_TRY(allocate_outputs(graph, out));
  BRAID_TRY(braid_program_create(machine->pool, graph, NULL, &opts, &program));
  enum braid_status status = braid_program_run(program, in->tensor, in->n, out->tensor, out->n);
  braid_program_destroy(&program);
  return status;
}

/* Numpy knows no bfloat16: the suite stores its bits as uint16. */
static void as_bfloat16(const struct value_set *set, struct value_set *out) {
  *out = *set;
  for (int k = 0; k < out->n; k++)
    if (out->tensor[k].dtype == BRAID_U16) out->tensor[k].dtype = BRAID_BF16;
}

static bool compare(const struct value_set *got, const struct value_set *want, struct onnx_case *c) {
  if (want->n == 0) return verdict(c, CASE_UNSUPPORTED, "a data set without outputs");
  if (got->n < want->n) return verdict(c, CASE_FAILED, "%d outputs, expected %d", got->n, want->n);
  for (int k = 0; k < want->n; k++) {
    struct braid_tensor expected = want->tensor[k];
    if (got->tensor[k].dtype == BRAID_BF16 && expected.dtype == BRAID_U16) expected.dtype = BRAID_BF16;
    if (!equal_value(&got->tensor[k], &expected, k, c)) return false;
  }
  return true;
}

/* The graph as it comes back from a file that braid_onnx_save wrote. */
static enum braid_status through_file(const char *path, const struct value_set *in, struct braid_graph **graph) {
  struct braid_evaluator evaluator = braid_reference_evaluator();
  struct value_set known = *in; /* sizes alone: a file cannot say that a dim is 0 */
  struct braid_onnx_opts opts = {.evaluator = &evaluator, .input = known.tensor, .n_inputs = known.n};
  for (int k = 0; k < known.n; k++) known.tensor[k].data = NULL;
  struct braid_graph *back = NULL;
  BRAID_TRY(braid_onnx_save(*graph, path));
  BRAID_TRY(braid_onnx_load(path, &opts, &back));
  enum braid_status status = braid_graph_seal(back, BRAID_PASS_ALL);
  if (status != BRAID_OK) {
    braid_graph_destroy(&back);
    return status;
  }
  braid_graph_destroy(graph);
  *graph = back;
  return BRAID_OK;
}

static bool run_loaded(const struct braid_graph *graph, const struct value_set *in, const struct value_set *want,
                       const struct case_machine *machine, struct onnx_case *c) {
  struct value_set got = {.n = 0};
  enum braid_status status = run_graph(graph, machine, in, &got);
  bool good = status == BRAID_OK ? compare(&got, want, c) : verdict_of(c, status, NULL);
  value_set_free(&got);
  return good;
}

static bool run_values(const char *path, const struct value_set *in, const struct value_set *want,
                       const struct case_machine *machine, struct onnx_case *c) {
  static const char *const note[] = {"", "with lists and numbers as constants", "with every input a constant"};
  struct braid_graph *graph = NULL;
  struct value_set run_in, retyped;
  enum binding how = BIND_NOTHING;
  enum braid_status status = load(path, in, how, &run_in, &graph);
  if (status == BRAID_EMISMATCH) {
    as_bfloat16(in, &retyped);
    in = &retyped;
    status = load(path, in, how, &run_in, &graph);
  }
  while (status == BRAID_EUNSUPPORTED && how < BIND_ALL) status = load(path, in, ++how, &run_in, &graph);
  if (status != BRAID_OK) return verdict_of(c, status, path);
  if (machine->round_trip) status = through_file(machine->round_trip, &run_in, &graph);
  bool good = status == BRAID_OK ? run_loaded(graph, &run_in, want, machine, c)
                                 : verdict(c, CASE_FAILED, "the round trip: %s", braid_error());
  braid_graph_destroy(&graph);
  if (good) snprintf(c->reason, sizeof c->reason, "%s", note[how]);
  return good;
}

static bool run_set(const char *dir, int s, const char *path, const struct case_machine *machine, struct onnx_case *c) {
  struct value_set in = {.n = 0}, want = {.n = 0};
  bool good = read_values(dir, s, "input", &in, c) && read_values(dir, s, "output", &want, c) &&
              run_values(path, &in, &want, machine, c);
  value_set_free(&in);
  value_set_free(&want);
  return good;
}

void onnx_case_run(const char *dir, const struct case_machine *machine, struct onnx_case *out) {
  char path[4096], set[4096];
  int s = 0;
  *out = (struct onnx_case){.status = CASE_PASSED};
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  for (;; s++) {
    snprintf(set, sizeof set, "%s/test_data_set_%d", dir, s);
    if (!exists(set) || !run_set(dir, s, path, machine, out)) break;
  }
  if (s == 0 && out->status == CASE_PASSED) (void)verdict(out, CASE_UNSUPPORTED, "there is no test_data_set_0");
}
