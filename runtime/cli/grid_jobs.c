/* SPDX-License-Identifier: Apache-2.0 */
#include "grid_jobs.h"

#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared by all processes. Relaxed: the counter hands out numbers and nothing else depends on it. */
struct shared {
  _Atomic int64_t next; /* of work->cell */
  _Atomic bool stop;
  _Atomic int64_t at[GRID_JOBS_MAX]; /* which one a worker is at; -1: none */
};

struct crew {
  const struct grid_work *work;
  struct shared *shared;
  int pipe[2];
  pid_t pid[GRID_JOBS_MAX];
  int n;
};

/* ------------------------------------------------------------------------------------------------- a worker */

static bool put_line(int fd, char line[GRID_LINE_MAX]) {
  size_t n = strlen(line);
  line[n++] = '\n';
  ssize_t put;
  do put = write(fd, line, n);
  while (put < 0 && errno == EINTR);
  return put == (ssize_t)n;
}

static bool run_cell(const struct grid_work *w, int64_t index, int fd) {
  struct braid_clock clock = braid_clock_monotonic();
  struct grid_cell cell = grid_cell_at(w->axes, index);
  struct grid_result r;
  char line[GRID_LINE_MAX];
  if (grid_run(&w->net[cell.net], &cell, w->asks, &clock, &r) != BRAID_OK) {
    cli_fail(CLI_FAILED);
    return false;
  }
  return grid_line_write(&r, &w->names, line) && put_line(fd, line);
}

static int work_on(const struct grid_work *w, struct shared *s, int me, int fd) {
  while (!cli_interrupted() && !atomic_load_explicit(&s->stop, memory_order_relaxed)) {
    int64_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
    if (i >= w->n) break;
    atomic_store_explicit(&s->at[me], w->cell[i], memory_order_relaxed);
    if (!run_cell(w, w->cell[i], fd)) return CLI_FAILED;
  }
  return CLI_DONE;
}

static enum braid_status start_worker(struct crew *c) {
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) return braid_fail(BRAID_EIO, "cannot start a worker: %s", strerror(errno));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(c->pipe[0]);
    _exit(getppid() == parent ? work_on(c->work, c->shared, c->n, c->pipe[1]) : CLI_FAILED);
  }
  c->pid[c->n++] = pid;
  return BRAID_OK;
}

/* ------------------------------------------------------------------------------------------------- the lines */

static void stop(struct crew *c) {
  atomic_store_explicit(&c->shared->stop, true, memory_order_relaxed);
}

struct lines {
  char buffer[16 * GRID_LINE_MAX];
  size_t n;
};

/* Hands over what is whole, keeps the rest. */
static enum braid_status hand_over(struct lines *l, const struct grid_sink *sink) {
  char *begin = l->buffer, *end;
  while ((end = memchr(begin, '\n', l->n))) {
    *end++ = '\0';
    BRAID_TRY(sink->take(sink->ctx, begin));
    l->n -= (size_t)(end - begin);
    begin = end;
  }
  memmove(l->buffer, begin, l->n);
  return BRAID_OK;
}

/* Until all workers have closed the pipe. Once the sink has failed the lines are only drained. */
static enum braid_status listen_to(struct crew *c, const struct grid_sink *sink) {
  struct lines lines = {.n = 0};
  enum braid_status status = BRAID_OK;
  for (;;) {
    ssize_t n = read(c->pipe[0], lines.buffer + lines.n, sizeof lines.buffer - lines.n);
    if (cli_interrupted()) stop(c);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return status;
    lines.n = status == BRAID_OK ? lines.n + (size_t)n : 0;
    if (status == BRAID_OK) status = hand_over(&lines, sink);
    if (status != BRAID_OK) stop(c);
  }
}

/* --------------------------------------------------------------------------------------------------- the crew */

static const char *cell_of(const struct grid_work *w, int64_t index, char buf[200]) {
  if (index < 0) return "before its first cell";
  struct grid_cell c = grid_cell_at(w->axes, index);
  return grid_cell_text(&c, w->names.name[c.net], buf, 200);
}

static enum braid_status wait_for(struct crew *c) {
  enum braid_status status = BRAID_OK;
  for (int i = 0; i < c->n; i++) {
    int state = 0;
    char cell[200];
    while (waitpid(c->pid[i], &state, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(state) && WEXITSTATUS(state) == CLI_DONE) continue;
    if (WIFSIGNALED(state) && cli_interrupted()) continue; /* the second interrupt */
    const char *where = cell_of(c->work, atomic_load_explicit(&c->shared->at[i], memory_order_relaxed), cell);
    status = WIFSIGNALED(state) ? braid_fail(BRAID_EIO, "a worker was ended by signal %d: %s", WTERMSIG(state), where)
                                : braid_fail(BRAID_EIO, "a worker failed: %s", where);
  }
  return status;
}

static enum braid_status run_crew(struct crew *c, const struct grid_sink *sink) {
  enum braid_status started = BRAID_OK;
  for (int i = 0; i < c->work->jobs; i++) atomic_store_explicit(&c->shared->at[i], -1, memory_order_relaxed);
  while (c->n < c->work->jobs && started == BRAID_OK) started = start_worker(c);
  close(c->pipe[1]);
  if (started != BRAID_OK) stop(c);
  enum braid_status heard = listen_to(c, sink);
  close(c->pipe[0]);
  enum braid_status ended = wait_for(c);
  return started != BRAID_OK ? started : heard != BRAID_OK ? heard : ended;
}

enum braid_status grid_jobs_run(const struct grid_work *work, const struct grid_sink *sink) {
  struct crew c = {.work = work};
  if (work->n == 0) return BRAID_OK;
  fflush(NULL); /* or every worker would have a copy to flush */
  c.shared = mmap(NULL, sizeof *c.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (c.shared == MAP_FAILED) return braid_fail(BRAID_ENOMEM, "no memory to share with workers");
  enum braid_status status =
      pipe(c.pipe) == 0 ? run_crew(&c, sink) : braid_fail(BRAID_EIO, "no pipe for workers: %s", strerror(errno));
  munmap(c.shared, sizeof *c.shared);
  return status;
}
