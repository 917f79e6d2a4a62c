/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as an ONNX file: import with folding by the reference kernels, seal, check the invariants, and for what
 * gets that far the content hash. The budget is small, so that a hang or a bomb is found as such. */
#include "fuzz.h"

#include "braid/models.h"
#include "ref_evaluator.h"

#include <stdio.h>
#include <stdlib.h>

static void must_hold(enum braid_status status) {
  if (status == BRAID_OK) return;
  fprintf(stderr, "a sealed graph breaks an invariant: %s\n", braid_error());
  abort();
}

/* Kernels are as slow as their operands are large; fuzzing wants many inputs. */
static enum braid_status eval_small(void *ctx, enum braid_op op, const union braid_attrs *attrs,
                                    const struct braid_tensor *in, const bool *present, int n_in,
                                    struct braid_tensor *out) {
  int64_t work = braid_shape_elements(&out->shape);
  for (int i = 0; i < n_in; i++) {
    if (present[i]) work *= 1 + braid_shape_elements(&in[i].shape);
    if (work > 1000000) return braid_fail(BRAID_EUNSUPPORTED, "too much work for a fuzz target");
  }
  return ref_evaluate(ctx, op, attrs, in, present, n_in, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct braid_evaluator evaluator = {eval_small, NULL};
  struct braid_onnx_opts opts = {.evaluator = &evaluator, .max_bytes = 4 << 20};
  struct braid_graph *graph = NULL;
  uint8_t hash[32];
  if (braid_onnx_parse(data, size, "fuzz", &opts, &graph) != BRAID_OK) return 0;
  if (braid_graph_seal(graph, BRAID_PASS_ALL) == BRAID_OK) {
    must_hold(braid_graph_check(graph));
    braid_graph_hash(graph, hash);
  }
  braid_graph_destroy(&graph);
  return 0;
}
