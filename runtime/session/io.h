/* SPDX-License-Identifier: Apache-2.0
 * The I/O thread's tools: a link, an eventfd that other threads poke, the clock. Every process has one I/O thread and
 * one link; only that thread touches the link between start and stop. */
#ifndef SESSION_IO_H
#define SESSION_IO_H

#include <pthread.h>
#include <stdatomic.h>

#include "braid/runtime.h"

enum {
  SESSION_DEFAULT_HEARTBEAT_NS = 500 * 1000 * 1000,
  SESSION_MAX_WINDOW = 64,   /* frames in flight in one epoch; the frame numbers in use fit one 64-bit mask */
  SESSION_MAX_EPOCHS = 16,   /* plans in force in one session, retired ones not counted */
  SESSION_RECEIVE_BURST = 64 /* messages taken before sending gets its turn */
};

struct io {
  struct braid_link *link; /* I/O thread */
  int wake_fd;
  atomic_bool poked; /* a wake-up is under way; saves a system call for every further poke */
};

/* Without a link: the I/O thread may put one in later, and take it out. */
BRAID_NODISCARD enum braid_status io_init(struct io *io);
BRAID_NODISCARD enum braid_status io_open(struct io *io, const char *uri, const struct braid_link_opts *opts);
void io_close(struct io *io); /* after the I/O thread has ended; fine on a zeroed one */
/* Makes the I/O thread look again at what other threads have left for it. Any thread, never blocks. */
void io_poke(struct io *io);
/* I/O thread: sleeps until there is a message, a poke, or timeout_ns has passed. */
void io_wait(struct io *io, int64_t timeout_ns);
int64_t io_now_ns(void); /* CLOCK_MONOTONIC */

/* A thread that leaves all signals to the program's own threads. */
BRAID_NODISCARD enum braid_status io_thread_start(pthread_t *thread, const char *name, void *(*body)(void *),
                                                  void *arg);
/* Where the process's I/O thread goes: a copy of pin's first I/O place, or nowhere in particular. */
BRAID_NODISCARD enum braid_status io_place_copy(const struct braid_pin *pin, struct braid_pin_thread *place);
void io_place_fini(struct braid_pin_thread *place);
/* Workers that an option of 0 means. */
int io_default_threads(int threads, const struct braid_pin *pin);
/* A condition variable that waits on CLOCK_MONOTONIC. */
void io_cond_init(pthread_cond_t *cond);
/* Waits until `deadline_ns` (INT64_MAX: no limit); false when it has passed. */
bool io_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns);
/* now + timeout without overflow; a negative timeout means no limit. */
int64_t io_deadline_ns(int64_t timeout_ns);

#endif
