/* SPDX-License-Identifier: Apache-2.0
 * --live on the screen. The picture is drawn over the one before: up as many lines as that had, each line cleared to
 * its end. All other text on standard error is the log's; before a line of it the picture is wiped, so it scrolls by
 * above the next one. The cursor is hidden meanwhile, and comes back at the end, at the first signal that ends the
 * edge, and at those that end or stop the process at once. Terminals that cannot do this (TERM=dumb, no terminal at
 * all) get a line of the log every second. */
#include "live.h"

#include "cli.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_NS INT64_C(250000000)
#define SECOND_NS INT64_C(1000000000)
#define FPS_NS (5 * SECOND_NS)
#define MINUTE_NS (LIVE_HISTORY * SECOND_NS)
enum { ANSWERS = 4096, PICTURE_BYTES = 16 << 10 };

struct live {
  struct live_opts opts;
  bool terminal;
  int64_t begun_ns, drawn_ns, second_ns; /* second_ns: when the last second was taken */
  struct {
    int64_t at_ns;
    double ms;
  } answer[ANSWERS]; /* ring, of the last minute */
  int first, count;
  double sum_ms; /* of this second */
  int in_second;
  struct braid_edge_stats before; /* at second_ns */
  char policy[32];
  struct live_view view;
};

/* ------------------------------------------------------------------------------------------------- the screen
 * One a process, as standard error is; loggers of all threads come by here. */

static struct {
  pthread_mutex_t mutex;
  int lines, columns; /* of the picture that is there; under the mutex */
} screen = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static volatile sig_atomic_t resumed; /* after a stop: whatever is on the screen now is not ours */

static void say(const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t done = write(STDERR_FILENO, bytes, n);
    if (done <= 0) return; /* nobody is looking */
    bytes += done;
    n -= (size_t)done;
  }
}

static const char show[] = "\033[?25h", hide[] = "\033[?25l";

static void show_cursor(void) { /* also in handlers */
  int kept = errno;
  say(show, sizeof show - 1);
  errno = kept;
}

static void wipe_locked(void) {
  char text[32];
  if (resumed) screen.lines = 0;
  resumed = 0;
  if (screen.lines > 0) say(text, (size_t)snprintf(text, sizeof text, "\r\033[%dA\033[J", screen.lines));
  screen.lines = 0;
}

static void before_line(void) {
  pthread_mutex_lock(&screen.mutex);
  wipe_locked();
}
static void after_line(void) {
  pthread_mutex_unlock(&screen.mutex);
}
static const struct braid_log_around around = {before_line, after_line};

/* ---------------------------------------------------------------------------------------------------- signals */

static void on_end(int number) {
  show_cursor();
  signal(number, SIG_DFL);
  raise(number); /* as soon as this handler has returned */
}

static void catch(int number, void (*handler)(int)) {
  struct sigaction old, action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(number, &action, NULL);
}

static void on_continue(int number) {
  (void)number;
  int kept = errno;
  catch(SIGTSTP, on_end);
  if (!cli_interrupted()) say(hide, sizeof hide - 1);
  resumed = 1;
  errno = kept;
}

static void catch_all(void) {
  catch(SIGHUP, on_end);
  catch(SIGQUIT, on_end);
  catch(SIGTSTP, on_end);
  catch(SIGCONT, on_continue);
  cli_at_signal(show_cursor);
}

static void release_all(void) {
  static const int numbers[] = {SIGHUP, SIGQUIT, SIGTSTP, SIGCONT};
  cli_at_signal(NULL);
  for (int i = 0; i < CLI_COUNT_OF(numbers); i++) {
    struct sigaction old;
    if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) signal(numbers[i], SIG_DFL);
  }
}

/* ------------------------------------------------------------------------------------------------------ style */

static bool is_utf8(void) {
  static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  for (int i = 0; i < CLI_COUNT_OF(names); i++) {
    const char *value = getenv(names[i]);
    if (value && *value) return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
  }
  return false;
}

static int number_of(const char *variable, int otherwise) {
  const char *value = getenv(variable);
  int n = value ? atoi(value) : 0;
  return n > 0 ? n : otherwise;
}

/* As it is now: terminals change their size. */
static struct live_style style_now(void) {
  const char *no_colour = getenv("NO_COLOR");
  struct winsize size = {0};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) size = (struct winsize){0};
  return (struct live_style){.columns = size.ws_col > 0 ? size.ws_col : number_of("COLUMNS", 80),
                             .rows = size.ws_row > 0 ? size.ws_row : number_of("LINES", 24),
                             .colour = !no_colour || !*no_colour,
                             .utf8 = is_utf8()};
}

static bool can_draw(void) {
  const char *term = getenv("TERM");
  return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

/* ---------------------------------------------------------------------------------------------------- figures */

static void forget_old(struct live *l, int64_t now_ns) {
  while (l->count > 0 && l->answer[l->first].at_ns < now_ns - MINUTE_NS) {
    l->first = (l->first + 1) % ANSWERS;
    l->count--;
  }
}

static void look_at_answers(struct live *l, int64_t now_ns) {
  static double ms[ANSWERS];
  int lately = 0;
  int64_t span_ns = now_ns - l->begun_ns < FPS_NS ? now_ns - l->begun_ns : FPS_NS;
  forget_old(l, now_ns);
  for (int i = 0; i < l->count; i++) {
    int k = (l->first + i) % ANSWERS;
    ms[i] = l->answer[k].ms;
    lately += l->answer[k].at_ns >= now_ns - FPS_NS;
  }
  if (lately == ANSWERS) span_ns = now_ns - l->answer[l->first].at_ns; /* more than the ring holds */
  struct cli_stats stats = cli_stats_of(ms, l->count);
  l->view.p50_ms = stats.p50;
  l->view.p90_ms = stats.p90;
  l->view.p99_ms = stats.p99;
  l->view.fps = span_ns > 0 ? 1e9 * lately / (double)span_ns : 0;
}

static void look_at_plan(struct live *l) {
  struct braid_plan *plan;
  struct live_view *v = &l->view;
  if (braid_edge_plan_now(l->opts.edge, &plan) != BRAID_OK) return;
  snprintf(l->policy, sizeof l->policy, "%s", plan->policy);
  v->policy = l->policy;
  v->nodes = plan->n_nodes;
  v->nodes_here = 0;
  for (int i = 0; i < plan->n_nodes; i++) v->nodes_here += plan->site[i] == BRAID_EDGE;
  v->planned_ms = cli_ms(plan->forecast.latency_ns);
  braid_plan_destroy(&plan);
}

static void add_history(struct live_view *v, double latency_ms, double mbit) {
  if (v->n_history == LIVE_HISTORY) {
    memmove(v->latency_ms, v->latency_ms + 1, (LIVE_HISTORY - 1) * sizeof *v->latency_ms);
    memmove(v->mbit, v->mbit + 1, (LIVE_HISTORY - 1) * sizeof *v->mbit);
    v->n_history--;
  }
  v->latency_ms[v->n_history] = latency_ms;
  v->mbit[v->n_history++] = mbit;
}

/* What takes time to show: shares of it. */
static void take_second(struct live *l, const struct braid_edge_stats *s, int64_t now_ns) {
  double ns = (double)(now_ns - l->second_ns);
  double bits_per_s = 8e9 * (double)(s->bytes_up - l->before.bytes_up) / ns;
  l->view.edge_busy = (double)(s->pool.busy_ns - l->before.pool.busy_ns) / ns / s->pool.workers;
  l->view.up_busy = s->cloud && s->rate_bits_per_s > 0 ? bits_per_s / s->rate_bits_per_s : -1;
  add_history(&l->view, l->in_second > 0 ? l->sum_ms / l->in_second : -1, bits_per_s / 1e6);
  l->sum_ms = l->in_second = 0;
  l->before = *s;
  l->second_ns = now_ns;
  look_at_plan(l);
}

static void look(struct live *l, const struct braid_edge_stats *s, uint64_t dropped, int64_t now_ns) {
  struct live_view *v = &l->view;
  v->elapsed_ns = now_ns - l->begun_ns;
  v->cloud = s->cloud;
  v->connected = s->connected;
  v->draining = s->draining;
  v->submitted = s->frames;
  v->answered = s->answered;
  v->lost = s->lost;
  v->bridged = s->bridged;
  v->alone = s->alone;
  v->dropped = dropped;
  v->replans = s->replans;
  v->in_flight = s->in_flight;
  v->window = s->window;
  v->up_mbit = s->cloud ? s->rate_bits_per_s / 1e6 : 0;
  v->down_mbit = s->down_bits_per_s / 1e6;
  v->rtt_ms = s->cloud ? cli_ms(s->rtt_ns) : 0;
  v->cloud_load = s->cloud_load;
  v->cloud_busy = s->cloud_busy > 0 ? s->cloud_busy : -1;
  if (v->epoch != s->epoch) look_at_plan(l);
  v->epoch = s->epoch;
  look_at_answers(l, now_ns);
}

/* ------------------------------------------------------------------------------------------------------ drawing */

/* In one write, so that nothing of another process gets between. */
static void draw(struct live *l) {
  static char picture[PICTURE_BYTES], out[PICTURE_BYTES + 4096];
  struct live_style style = style_now();
  int lines = live_render(&l->view, &style, picture, sizeof picture);
  pthread_mutex_lock(&screen.mutex);
  if (resumed || style.columns != screen.columns) screen.lines = 0; /* it may be wrapped by now */
  resumed = 0;
  size_t n = (size_t)snprintf(out, sizeof out, screen.lines > 0 ? "\r\033[%dA" : "\r", screen.lines);
  for (const char *c = picture; *c; c++) {
    if (*c == '\n') n += (size_t)snprintf(out + n, sizeof out - n, "\033[K");
    out[n++] = *c;
  }
  n += (size_t)snprintf(out + n, sizeof out - n, "\033[J");
  say(out, n);
  screen.lines = lines;
  screen.columns = style.columns;
  pthread_mutex_unlock(&screen.mutex);
}

static void log_line(const struct live *l) {
  const struct live_view *v = &l->view;
  struct braid_log_field field[] = {{"submitted", NULL, (int64_t)v->submitted},
                                    {"answered", NULL, (int64_t)v->answered},
                                    {"in_flight", NULL, v->in_flight},
                                    {"lost", NULL, (int64_t)v->lost},
                                    {"bridged", NULL, (int64_t)v->bridged},
                                    {"alone", NULL, (int64_t)v->alone},
                                    {"dropped", NULL, (int64_t)v->dropped},
                                    {"epoch", NULL, v->epoch},
                                    {"p50_us", NULL, (int64_t)(1e3 * v->p50_ms)},
                                    {"p99_us", NULL, (int64_t)(1e3 * v->p99_ms)},
                                    {"peer", v->cloud ? v->cloud : "", 0}};
  braid_log_event(
      BRAID_LOG_INFO, "live", field, CLI_COUNT_OF(field),
      "live: %llu answered of %llu, %d in flight, %llu lost, %.1f frames/s, p50 %.1f p99 %.1f ms; edge %.0f %%, "
      "uplink %.1f Mbit/s; %s",
      (unsigned long long)v->answered, (unsigned long long)v->submitted, v->in_flight, (unsigned long long)v->lost,
      v->fps, v->p50_ms, v->p99_ms, 100 * v->edge_busy, v->n_history > 0 ? v->mbit[v->n_history - 1] : 0.0,
      v->draining                ? "draining"
      : v->connected && v->cloud ? v->cloud
                                 : "alone");
}

/* ------------------------------------------------------------------------------------------------------- calls */

struct live *live_start(const struct live_opts *opts) {
  struct live *l = braid_calloc(1, sizeof *l);
  if (!l) {
    (void)braid_fail(BRAID_ENOMEM, "no memory for --live");
    return NULL;
  }
  l->opts = *opts;
  l->terminal = can_draw();
  l->begun_ns = l->second_ns = cli_now_ns();
  braid_edge_stats(opts->edge, &l->before);
  l->view = (struct live_view){.model = opts->model, .policy = "", .edge_busy = -1, .up_busy = -1, .cloud_busy = -1};
  look_at_plan(l);
  if (!l->terminal) return l;
  catch_all();
  say(hide, sizeof hide - 1);
  if (cli_interrupted()) show_cursor(); /* the signal came before it was caught */
  braid_log_set_around(&around);
  return l;
}

void live_answer(struct live *l, int64_t latency_ns) {
  int k = (l->first + l->count) % ANSWERS;
  l->answer[k].at_ns = cli_now_ns();
  l->answer[k].ms = cli_ms(latency_ns);
  if (l->count < ANSWERS)
    l->count++;
  else
    l->first = (l->first + 1) % ANSWERS;
  l->sum_ms += cli_ms(latency_ns);
  l->in_second++;
}

void live_tick(struct live *l, uint64_t dropped) {
  int64_t now_ns = cli_now_ns();
  bool second = now_ns - l->second_ns >= SECOND_NS;
  if (!second && !(l->terminal && now_ns - l->drawn_ns >= DRAW_NS)) return;
  struct braid_edge_stats stats;
  braid_edge_stats(l->opts.edge, &stats);
  if (second) take_second(l, &stats, now_ns);
  look(l, &stats, dropped, now_ns);
  l->drawn_ns = now_ns;
  if (l->terminal)
    draw(l);
  else if (second)
    log_line(l);
}

void live_hide(struct live *l) {
  if (!l || !l->terminal) return;
  pthread_mutex_lock(&screen.mutex);
  wipe_locked();
  pthread_mutex_unlock(&screen.mutex);
}

bool live_owns_terminal(const struct live *l) {
  return l && l->terminal && isatty(STDOUT_FILENO);
}

void live_stop(struct live **live) {
  struct live *l = *live;
  if (!l) return;
  if (l->terminal) {
    struct braid_edge_stats stats;
    int64_t now_ns = cli_now_ns();
    braid_edge_stats(l->opts.edge, &stats);
    look(l, &stats, l->view.dropped, now_ns);
    draw(l);
    braid_log_set_around(NULL);
    release_all();
    show_cursor();
  }
  pthread_mutex_lock(&screen.mutex);
  screen.lines = 0; /* what is there stays there */
  pthread_mutex_unlock(&screen.mutex);
  braid_free(l);
  *live = NULL;
}
