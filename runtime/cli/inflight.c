/* SPDX-License-Identifier: Apache-2.0 */
#include "inflight.h"

#include <pthread.h>
#include <string.h>

/* Frames that are done wait here for the main thread, which gives their arenas back. `lock` guards all of it. */
struct finished {
  pthread_mutex_t lock;
  pthread_cond_t some;
  struct braid_frame **frame;
  int n;
};

static void on_rows(void *ctx, struct braid_frame *frame, int node, struct braid_band band) {
  (void)ctx;
  (void)frame;
  (void)node;
  (void)band;
}

static void on_done(void *ctx, struct braid_frame *frame) {
  struct finished *f = ctx;
  pthread_mutex_lock(&f->lock);
  f->frame[f->n++] = frame;
  pthread_cond_signal(&f->some);
  pthread_mutex_unlock(&f->lock);
}

static void end_one(struct finished *f) {
  pthread_mutex_lock(&f->lock);
  while (f->n == 0) pthread_cond_wait(&f->some, &f->lock);
  struct braid_frame *frame = f->frame[--f->n];
  pthread_mutex_unlock(&f->lock);
  braid_frame_end(&frame);
}

static enum braid_status feed(struct braid_frame *frame, const struct braid_graph *graph,
                              const struct braid_tensor *in) {
  int n;
  const int *id = braid_graph_inputs(graph, &n);
  for (int i = 0; i < n; i++) {
    const struct braid_node *node = braid_graph_node(graph, id[i]);
    memcpy(braid_frame_tensor(frame, id[i]).data, in[i].data, node->bytes);
    BRAID_TRY(braid_frame_arrived(frame, id[i], (struct braid_band){0, node->rows}));
  }
  return BRAID_OK;
}

static int begin_one(struct braid_program *program, const struct braid_graph *graph, struct source *source, int number,
                     struct finished *f) {
  static const struct braid_frame_events events = {on_rows, on_done};
  const struct braid_tensor *in;
  struct braid_frame *frame;
  int n_in, exit = source_load(source, number, &in, &n_in);
  if (exit != CLI_DONE) return exit;
  if (braid_frame_begin(program, (uint64_t)number, (uint64_t)number, &events, f, &frame) != BRAID_OK) return cli_fail(CLI_FAILED);
  if (feed(frame, graph, in) == BRAID_OK) return CLI_DONE;
  braid_frame_abort(frame);
  braid_frame_end(&frame);
  return cli_fail(CLI_FAILED);
}

int inflight_run(struct braid_program *program, const struct braid_graph *graph, struct source *source, int frames,
                 int window, int64_t *elapsed_ns) {
  struct braid_clock clock = braid_clock_monotonic();
  struct finished f = {.frame = braid_calloc((size_t)window, sizeof *f.frame)};
  if (!f.frame) return CLI_FAILED;
  pthread_mutex_init(&f.lock, NULL);
  pthread_cond_init(&f.some, NULL);
  int exit = CLI_DONE, begun = 0, ended = 0;
  int64_t begin = braid_now_ns(&clock);
  while (exit == CLI_DONE && begun < frames && !cli_interrupted()) {
    if (begun - ended == window) end_one(&f), ended++;
    exit = begin_one(program, graph, source, begun, &f);
    if (exit == CLI_DONE) begun++;
  }
  for (; ended < begun; ended++) end_one(&f);
  *elapsed_ns = braid_now_ns(&clock) - begin;
  pthread_cond_destroy(&f.some);
  pthread_mutex_destroy(&f.lock);
  braid_free(f.frame);
  return exit;
}
