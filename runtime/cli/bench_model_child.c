/* SPDX-License-Identifier: Apache-2.0
 * Braid as a contestant of `braid bench model`: reads the same manifest and answers the same lines as the scripts in
 * bench/peers, so that what is said of load time and memory is of like processes. */
#include "bench_peers.h"

#include "io.h"
#include "precision.h"

#include <inttypes.h>
#include <string.h>

struct answerer {
  json_t *manifest;
  struct braid_graph *graph, *full; /* full: in fp32, where `graph` is in lower precision */
  struct cli_machine machine;
  struct braid_pool *pool;
  struct braid_program *program;
  int n_in, n_out;
  struct braid_tensor *in, *out;
};

static const char *text_at(const json_t *list, int i, const char *key) {
  const char *text = json_string_value(json_object_get(json_array_get(list, (size_t)i), key));
  return text ? text : "";
}

/* Calibrated with the inputs themselves: what is measured is time. */
static enum braid_status calibrate(struct answerer *a, enum braid_precision precision, struct braid_graph **lowered) {
  struct braid_calibration *c = NULL;
  struct braid_calibration_opts how = {.cpu_flags = a->machine.cpu_flags, .method = BRAID_CALIBRATE_MINMAX};
  BRAID_TRY(braid_calibration_create(a->pool, a->graph, &how, &c));
  enum braid_status status = braid_calibration_observe(c, a->in, a->n_in);
  if (status == BRAID_OK)
    status = braid_graph_lower(a->graph, precision, braid_calibration_ranges(c), lowered);
  braid_calibration_destroy(&c);
  return status;
}

static enum braid_status lower(struct answerer *a) {
  const char *name = json_string_value(json_object_get(a->manifest, "precision"));
  enum braid_precision precision = BRAID_PRECISION_FP32;
  struct braid_graph *lowered;
  if (name && !braid_precision_find(name, &precision))
    return braid_fail(BRAID_EFORMAT, "the manifest's precision is '%s'", name);
  if (precision == BRAID_PRECISION_FP32) return BRAID_OK;
  BRAID_TRY(calibrate(a, precision, &lowered));
  a->full = a->graph;
  a->graph = lowered;
  return BRAID_OK;
}

static enum braid_status open_program(struct answerer *a) {
  const char *model = json_string_value(json_object_get(a->manifest, "model"));
  if (!model) return braid_fail(BRAID_EFORMAT, "the manifest has no model");
  struct braid_pool_opts pool = {
      .workers = a->machine.workers, .pin = a->machine.pin, .name = "run", .choices = a->machine.choices};
  struct braid_program_opts program = {.here = BRAID_EDGE, .frames = 1, .cpu_flags = a->machine.cpu_flags};
  BRAID_TRY(braid_model_open(model, &(struct braid_open_opts){0}, &a->graph));
  BRAID_TRY(braid_pool_create(&pool, &a->pool));
  BRAID_TRY(lower(a));
  return braid_program_create(a->pool, a->graph, NULL, &program, &a->program);
}

static enum braid_status open_inputs(struct answerer *a) {
  const json_t *inputs = json_object_get(a->manifest, "inputs");
  int n_in = (int)json_array_size(inputs);
  a->in = braid_calloc((size_t)n_in, sizeof *a->in);
  if (!a->in) return braid_fail(BRAID_ENOMEM, "no memory for %d tensors", n_in);
  for (; a->n_in < n_in; a->n_in++) BRAID_TRY(io_npy_read(text_at(inputs, a->n_in, "file"), &a->in[a->n_in]));
  return BRAID_OK;
}

static enum braid_status open_outputs(struct answerer *a) {
  int n_out;
  const int *output = braid_graph_outputs(a->graph, &n_out);
  a->out = braid_calloc((size_t)n_out, sizeof *a->out);
  if (!a->out) return braid_fail(BRAID_ENOMEM, "no memory for %d tensors", n_out);
  for (; a->n_out < n_out; a->n_out++) {
    const struct braid_node *node = braid_graph_node(a->graph, output[a->n_out]);
    void *data = braid_alloc_aligned(node->bytes);
    if (!data) return braid_fail(BRAID_ENOMEM, "no memory for output '%s'", node->name);
    a->out[a->n_out] = (struct braid_tensor){data, node->dtype, node->shape};
  }
  return BRAID_OK;
}

static enum braid_status infer(struct answerer *a, const char *word) {
  int64_t begin = cli_now_ns();
  BRAID_TRY(braid_program_run(a->program, a->in, a->n_in, a->out, a->n_out));
  printf("%s %" PRId64 "\n", word, cli_now_ns() - begin);
  fflush(stdout);
  return BRAID_OK;
}

static enum braid_status write_outputs(const struct answerer *a) {
  const json_t *outputs = json_object_get(a->manifest, "outputs");
  for (int i = 0; i < a->n_out; i++) BRAID_TRY(io_npy_write(text_at(outputs, i, "file"), &a->out[i]));
  puts("written");
  fflush(stdout);
  return BRAID_OK;
}

static enum braid_status answer(struct answerer *a) {
  char line[64];
  BRAID_TRY(open_inputs(a));
  BRAID_TRY(open_program(a));
  BRAID_TRY(open_outputs(a));
  BRAID_TRY(infer(a, "first"));
  while (fgets(line, sizeof line, stdin)) {
    if (strcmp(line, "run\n") == 0) BRAID_TRY(infer(a, "ns"));
    if (strcmp(line, "write\n") == 0) BRAID_TRY(write_outputs(a));
  }
  return BRAID_OK;
}

static void close_answerer(struct answerer *a) {
  for (int i = 0; i < a->n_in; i++) braid_free(a->in[i].data);
  for (int i = 0; i < a->n_out; i++) braid_free(a->out[i].data);
  braid_free(a->in);
  braid_free(a->out);
  braid_program_destroy(&a->program);
  braid_pool_destroy(&a->pool);
  cli_machine_close(&a->machine);
  braid_graph_destroy(&a->graph);
  braid_graph_destroy(&a->full); /* which lent its constants */
  json_decref(a->manifest);
}

int bench_model_child(const char *manifest) {
  json_error_t why;
  struct answerer a = {.manifest = json_load_file(manifest, 0, &why)};
  if (!a.manifest) {
    fprintf(stderr, "braid: %s:%d: %s\n", manifest, why.line, why.text);
    return CLI_BAD_INPUT;
  }
  struct cli_exec exec = {.threads = (int)json_integer_value(json_object_get(a.manifest, "threads")),
                          .kernels = "fast"};
  int exit = cli_machine_open(&exec, &a.machine);
  if (exit == CLI_DONE && answer(&a) != BRAID_OK) exit = cli_fail(CLI_FAILED);
  close_answerer(&a);
  return exit;
}
