/* SPDX-License-Identifier: Apache-2.0
 * A ring of frames between the two threads. The reader owns one frame outside of it, which it fills while the others
 * wait: buffers are made once and change places. */
#include "feeder.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { RING = 2 };                 /* that wait to be submitted; with a drop policy one, so that it is fresh */
#define LOOK_NS INT64_C(100000000) /* how late an end may be noticed */

struct slot {
  struct braid_tensor *tensor; /* [n] */
  int frame;
};

struct feeder {
  struct feeder_opts opts;
  int n; /* inputs */
  pthread_t reader, submitter;
  bool has_cond, reading, submitting; /* what was made and started */
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  /* --- under mutex */
  struct slot ring[RING];
  int first, count;
  bool read_all;
  struct feeder_state state;
  /* --- reader */
  struct slot spare;
};

/* ---------------------------------------------------------------------------------------------------- reading */

static void copy_frame(const struct feeder *f, struct slot *to, const struct braid_tensor *in, int frame) {
  to->frame = frame;
  for (int i = 0; i < f->n; i++) {
    size_t bytes = 0;
    if (braid_shape_bytes(&in[i].shape, in[i].dtype, &bytes) == BRAID_OK && bytes)
      memcpy(to->tensor[i].data, in[i].data, bytes);
  }
}

static bool is_ending(struct feeder *f) {
  pthread_mutex_lock(&f->mutex);
  bool ending = f->state.exit != CLI_DONE;
  pthread_mutex_unlock(&f->mutex);
  return ending || cli_interrupted();
}

/* By an absolute schedule: what one frame is late, the next is not. */
static void await_due(struct feeder *f, int frame) {
  if (f->opts.fps <= 0) return;
  int64_t due_ns = f->state.begin_ns + (int64_t)(1e9 * frame / f->opts.fps), left_ns;
  while ((left_ns = due_ns - cli_now_ns()) > 0 && !is_ending(f)) {
    if (left_ns > LOOK_NS) left_ns = LOOK_NS;
    nanosleep(&(struct timespec){.tv_nsec = (long)left_ns}, NULL);
  }
}

static void swap_spare(struct feeder *f, struct slot *with) {
  struct slot other = *with;
  *with = f->spare;
  f->spare = other;
}

static void wait_for_change(struct feeder *f) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += (long)LOOK_NS;
  if (until.tv_nsec >= 1000000000) {
    until.tv_nsec -= 1000000000;
    until.tv_sec++;
  }
  pthread_cond_timedwait(&f->changed, &f->mutex, &until);
}

/* The spare goes into the ring, or is what is dropped. */
static void publish(struct feeder *f) {
  bool block = f->opts.when_full == FEEDER_BLOCK;
  int room = block ? RING : 1;
  pthread_mutex_lock(&f->mutex);
  f->state.read++;
  while (block && f->count == room && f->state.exit == CLI_DONE) wait_for_change(f);
  if (f->count < room) {
    swap_spare(f, &f->ring[(f->first + f->count++) % RING]);
  } else {
    if (f->opts.when_full == FEEDER_DROP_OLDEST) swap_spare(f, &f->ring[f->first]); /* the only one that waits */
    f->state.dropped++;
  }
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
}

static void note_exit(struct feeder *f, int exit) {
  pthread_mutex_lock(&f->mutex);
  if (f->state.exit == CLI_DONE) f->state.exit = exit;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
}

static void *read_frames(void *arg) {
  struct feeder *f = arg;
  for (int i = 0; f->opts.frames == 0 || i < f->opts.frames; i++) {
    const struct braid_tensor *in = NULL;
    int n_in;
    await_due(f, i);
    if (is_ending(f)) break;
    int exit = source_load(f->opts.source, i, &in, &n_in);
    if (exit != CLI_DONE) note_exit(f, exit);
    if (exit != CLI_DONE || !in) break; /* !in: the stream has ended */
    copy_frame(f, &f->spare, in, i);
    publish(f);
  }
  pthread_mutex_lock(&f->mutex);
  f->read_all = true;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
  return NULL;
}

/* -------------------------------------------------------------------------------------------------- submitting */

/* The ring's first frame changes places with `slot`; false: there will be no more. */
static bool take(struct feeder *f, struct slot *slot) {
  pthread_mutex_lock(&f->mutex);
  while (f->count == 0 && !f->read_all && f->state.exit == CLI_DONE) wait_for_change(f);
  bool any = f->count > 0 && f->state.exit == CLI_DONE;
  if (any) {
    struct slot taken = f->ring[f->first];
    f->ring[f->first] = *slot;
    *slot = taken;
    f->first = (f->first + 1) % RING;
    f->count--;
    f->state.submitted++;
  }
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->mutex);
  return any;
}

static bool slot_create(const struct feeder *f, struct slot *slot);
static void slot_free(const struct feeder *f, struct slot *slot);

/* A frame counts as submitted when it is taken: nothing drops it any more. One that the edge refuses ends everything.
 */
static void *submit_frames(void *arg) {
  struct feeder *f = arg;
  struct slot slot = {NULL};
  if (!slot_create(f, &slot)) note_exit(f, cli_fail(CLI_FAILED));
  while (slot.tensor && take(f, &slot))
    if (braid_edge_submit(f->opts.edge, (uint64_t)slot.frame, slot.tensor, f->n) != BRAID_OK)
      note_exit(f, cli_fail(CLI_PEER));
  slot_free(f, &slot);
  pthread_mutex_lock(&f->mutex);
  f->state.ended = true;
  pthread_mutex_unlock(&f->mutex);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------- start, stop */

static bool slot_create(const struct feeder *f, struct slot *slot) {
  const struct braid_tensor *like = source_tensors(f->opts.source);
  slot->tensor = braid_calloc((size_t)f->n + 1, sizeof *slot->tensor);
  if (!slot->tensor) return false;
  for (int i = 0; i < f->n; i++) {
    size_t bytes = 0;
    if (braid_shape_bytes(&like[i].shape, like[i].dtype, &bytes) != BRAID_OK) return false;
    slot->tensor[i] = (struct braid_tensor){braid_alloc_aligned(bytes ? bytes : 1), like[i].dtype, like[i].shape};
    if (!slot->tensor[i].data) {
      (void)braid_fail(BRAID_ENOMEM, "no memory for a frame of %zu bytes", bytes);
      return false;
    }
  }
  return true;
}

static void slot_free(const struct feeder *f, struct slot *slot) {
  for (int i = 0; slot->tensor && i < f->n; i++) braid_free(slot->tensor[i].data);
  braid_free(slot->tensor);
  slot->tensor = NULL;
}

static bool start_all(struct feeder *f) {
  pthread_condattr_t monotonic;
  bool made = slot_create(f, &f->spare);
  for (int i = 0; i < RING; i++) made = made && slot_create(f, &f->ring[i]);
  if (!made) return false;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&f->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  f->has_cond = true;
  f->state.begin_ns = cli_now_ns();
  f->reading = pthread_create(&f->reader, NULL, read_frames, f) == 0;
  f->submitting = f->reading && pthread_create(&f->submitter, NULL, submit_frames, f) == 0;
  if (!f->submitting) (void)braid_fail(BRAID_ENOMEM, "threads cannot be started: %s", strerror(errno));
  return f->submitting;
}

int feeder_start(const struct feeder_opts *opts, struct feeder **out) {
  struct feeder *f = braid_calloc(1, sizeof *f);
  if (!f) return CLI_FAILED;
  f->opts = *opts;
  f->n = source_inputs(opts->source);
  pthread_mutex_init(&f->mutex, NULL);
  *out = f;
  if (start_all(f)) return CLI_DONE;
  feeder_stop(out);
  return cli_fail(CLI_FAILED);
}

void feeder_state(struct feeder *f, struct feeder_state *out) {
  pthread_mutex_lock(&f->mutex);
  *out = f->state;
  pthread_mutex_unlock(&f->mutex);
}

void feeder_stop(struct feeder **feeder) {
  struct feeder *f = *feeder;
  if (!f) return;
  if (f->has_cond) note_exit(f, CLI_FAILED); /* after the state has been looked at: both threads leave */
  if (f->reading) pthread_join(f->reader, NULL);
  if (f->submitting) pthread_join(f->submitter, NULL);
  slot_free(f, &f->spare);
  for (int i = 0; i < RING; i++) slot_free(f, &f->ring[i]);
  if (f->has_cond) pthread_cond_destroy(&f->changed);
  pthread_mutex_destroy(&f->mutex);
  braid_free(f);
  *feeder = NULL;
}
