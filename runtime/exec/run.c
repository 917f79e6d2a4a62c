/* SPDX-License-Identifier: Apache-2.0
 * One inference, blocking. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "exec/program.h"

struct waiting {
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  bool done;
};

static void on_done(void *ctx, struct braid_frame *frame) {
  struct waiting *w = ctx;
  (void)frame;
  pthread_mutex_lock(&w->mutex);
  w->done = true;
  pthread_cond_signal(&w->cond);
  pthread_mutex_unlock(&w->mutex);
}

static enum braid_status check_alone(const struct braid_program *program) {
  for (int id = 0; id < program->tasks->n_nodes; id++) {
    const struct braid_node *node = braid_graph_node(program->graph, id);
    if (program->computed_index[id] < 0 && node->op != BRAID_OP_INPUT)
      return braid_fail(BRAID_EINVAL, "node %s is computed elsewhere: this program cannot run alone", node->name);
  }
  return BRAID_OK;
}

static enum braid_status check_tensors(const struct braid_program *program, const char *what, const int *ids, int n,
                                       const struct braid_tensor *tensor, int n_given) {
  if (n_given != n) return braid_fail(BRAID_EINVAL, "the network has %d %ss, not %d", n, what, n_given);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(program->graph, ids[i]);
    char wanted[96], given[96];
    if (tensor[i].dtype == node->dtype && braid_shape_equal(&tensor[i].shape, &node->shape)) continue;
    return braid_fail(BRAID_ESHAPE, "%s %s is %s %s, not %s %s", what, node->name, braid_dtype_name(node->dtype),
                      braid_shape_text(&node->shape, wanted, sizeof wanted), braid_dtype_name(tensor[i].dtype),
                      braid_shape_text(&tensor[i].shape, given, sizeof given));
  }
  return BRAID_OK;
}

static enum braid_status hand_in(struct braid_frame *frame, const struct braid_graph *graph,
                                 const struct braid_tensor *in) {
  int n;
  const int *ids = braid_graph_inputs(graph, &n);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, ids[i]);
    if (node->bytes == 0 && node->rows == 0) continue;
    memcpy(braid_frame_tensor(frame, ids[i]).data, in[i].data, node->bytes);
    BRAID_TRY(braid_frame_arrived(frame, ids[i], exec_whole(node)));
  }
  return BRAID_OK;
}

static void hand_out(const struct braid_frame *frame, const struct braid_graph *graph, const struct braid_tensor *out) {
  int n;
  const int *ids = braid_graph_outputs(graph, &n);
  for (int i = 0; i < n; i++)
    memcpy(out[i].data, braid_frame_tensor(frame, ids[i]).data, braid_graph_node(graph, ids[i])->bytes);
}

static void wait_until_done(struct waiting *w) {
  pthread_mutex_lock(&w->mutex);
  while (!w->done) pthread_cond_wait(&w->cond, &w->mutex);
  pthread_mutex_unlock(&w->mutex);
}

enum braid_status braid_program_run(struct braid_program *program, const struct braid_tensor *in, int n_in,
                                    const struct braid_tensor *out, int n_out) {
  int n_inputs, n_outputs;
  const int *inputs = braid_graph_inputs(program->graph, &n_inputs);
  const int *outputs = braid_graph_outputs(program->graph, &n_outputs);
  BRAID_TRY(check_alone(program));
  BRAID_TRY(check_tensors(program, "input", inputs, n_inputs, in, n_in));
  BRAID_TRY(check_tensors(program, "output", outputs, n_outputs, out, n_out));
  struct waiting w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
  static const struct braid_frame_events events = {.done = on_done};
  struct braid_frame *frame;
  BRAID_TRY(braid_frame_begin(program, 0, 0, &events, &w, &frame));
  enum braid_status status = hand_in(frame, program->graph, in);
  if (status == BRAID_OK) {
    wait_until_done(&w);
    hand_out(frame, program->graph, out);
  } else {
    braid_frame_abort(frame);
  }
  braid_frame_end(&frame);
  pthread_cond_destroy(&w.cond);
  pthread_mutex_destroy(&w.mutex);
  return status;
}
