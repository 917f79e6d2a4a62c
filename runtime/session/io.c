/* SPDX-License-Identifier: Apache-2.0
 * Link, wake-ups, clock and threads of a process's I/O. */
#include "session/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum braid_status io_init(struct io *io) {
  atomic_init(&io->poked, false);
  io->link = NULL;
  io->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return io->wake_fd >= 0 ? BRAID_OK : braid_fail(BRAID_EIO, "eventfd: %s", strerror(errno));
}

enum braid_status io_open(struct io *io, const char *uri, const struct braid_link_opts *opts) {
  BRAID_TRY(io_init(io));
  enum braid_status status = braid_link_open(uri, opts, &io->link);
  if (status != BRAID_OK) io_close(io);
  return status;
}

void io_close(struct io *io) {
  braid_link_close(&io->link);
  if (io->wake_fd > 0) close(io->wake_fd);
  io->wake_fd = -1;
}

/* Pairs with the exchange in io_wait: whoever finds `poked` set relies on the reader's exchange, which comes later in
 * the flag's order, acquiring what was written before this one. */
void io_poke(struct io *io) {
  if (atomic_exchange_explicit(&io->poked, true, memory_order_acq_rel)) return;
  const uint64_t one = 1;
  while (write(io->wake_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void wait_for_poke(int fd, int64_t timeout_ns) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  const struct timespec t = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
  ppoll(&one, 1, timeout_ns < 0 ? NULL : &t, NULL); /* an interrupted wait is a spurious return */
}

void io_wait(struct io *io, int64_t timeout_ns) {
  if (io->link)
    braid_link_wait(io->link, io->wake_fd, timeout_ns);
  else
    wait_for_poke(io->wake_fd, timeout_ns);
  uint64_t count;
  while (read(io->wake_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
  atomic_exchange_explicit(&io->poked, false, memory_order_acq_rel);
}

int64_t io_now_ns(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

int64_t io_deadline_ns(int64_t timeout_ns) {
  int64_t now = io_now_ns();
  return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

enum braid_status io_thread_start(pthread_t *thread, const char *name, void *(*body)(void *), void *arg) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(thread, NULL, body, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error) return braid_fail(BRAID_EIO, "cannot start thread %s: %s", name, strerror(error));
  pthread_setname_np(*thread, name);
  return BRAID_OK;
}

enum braid_status io_place_copy(const struct braid_pin *pin, struct braid_pin_thread *place) {
  *place = (struct braid_pin_thread){.numa = -1};
  if (!pin || pin->n_io < 1 || !pin->applies) return BRAID_OK;
  *place = pin->io[0];
  if (!place->cpuset) return BRAID_OK;
  place->cpuset = braid_strdup(place->cpuset);
  return place->cpuset ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory to pin the I/O thread");
}

void io_place_fini(struct braid_pin_thread *place) {
  braid_free(place->cpuset);
  place->cpuset = NULL;
}

int io_default_threads(int threads, const struct braid_pin *pin) {
  if (threads > 0) return threads;
  return pin && pin->n_workers > 0 ? pin->n_workers : 1;
}

void io_cond_init(pthread_cond_t *cond) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(cond, &attr);
  pthread_condattr_destroy(&attr);
}

bool io_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns) {
  if (deadline_ns == INT64_MAX) return pthread_cond_wait(cond, mutex) == 0;
  struct timespec t = {(time_t)(deadline_ns / 1000000000), (long)(deadline_ns % 1000000000)};
  return pthread_cond_timedwait(cond, mutex, &t) != ETIMEDOUT;
}
