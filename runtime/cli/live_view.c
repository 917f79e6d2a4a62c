/* SPDX-License-Identifier: Apache-2.0
 * The picture of --live as text: eight lines. A line knows how many columns it has taken, and takes no more than there
 * are; colours take none. */
#include "live.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BAR = 10, LABEL = 8, SCALE = 12, LINE_BYTES = 1024 }; /* SCALE: what the number behind a history takes */

enum colour { PLAIN, DIM, GREEN, YELLOW, RED, BOLD };
static const char *const escape[] = {"\033[0m", "\033[2m", "\033[32m", "\033[33m", "\033[31m", "\033[1m"};

struct text {
  const struct live_style *style;
  char *at, *end; /* of the caller's buffer */
  int columns, lines;
  bool full; /* this line has all its columns */
};

static void put_bytes(struct text *t, const char *bytes, size_t n) {
  if ((size_t)(t->end - t->at) <= n) return;
  memcpy(t->at, bytes, n);
  t->at += n;
  *t->at = '\0';
}

static size_t character_bytes(const char *c) {
  size_t n = 1;
  while (((unsigned char)c[n] & 0xc0) == 0x80) n++;
  return n;
}

/* What is not printable (a cloud's name is what somebody typed) shows as '?'. */
static void put_text(struct text *t, const char *text) {
  for (const char *c = text; *c && !t->full;) {
    size_t n = character_bytes(c);
    if (t->style->columns > 0 && t->columns == t->style->columns) {
      t->full = true;
      break;
    }
    if ((unsigned char)*c < ' ' || *c == 0x7f)
      put_bytes(t, "?", 1);
    else
      put_bytes(t, c, n);
    t->columns++;
    c += n;
  }
}

static void put(struct text *t, enum colour colour, const char *format, ...) BRAID_PRINTF(3, 4);
static void put(struct text *t, enum colour colour, const char *format, ...) {
  char text[LINE_BYTES];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  bool coloured = t->style->colour && colour != PLAIN && !t->full;
  if (coloured) put_bytes(t, escape[colour], strlen(escape[colour]));
  put_text(t, text);
  if (coloured) put_bytes(t, escape[PLAIN], strlen(escape[PLAIN]));
}

static bool begin_line(struct text *t, const char *label) {
  if (t->style->rows > 0 && t->lines + 1 >= t->style->rows) return false;
  t->columns = 0;
  t->full = false;
  put(t, DIM, "%-*s", LABEL, label);
  return true;
}

static void end_line(struct text *t) {
  put_bytes(t, "\n", 1);
  t->lines++;
}

/* ------------------------------------------------------------------------------------------------------ lines */

static void put_state(struct text *t, const struct live_view *v) {
  const char *dot = t->style->utf8 ? "\xe2\x97\x8f" : "*"; /* U+25CF */
  int64_t s = v->elapsed_ns / 1000000000;
  if (!begin_line(t, "edge")) return;
  put(t, BOLD, "%s", v->model);
  put(t, PLAIN, "  %02lld:%02lld:%02lld  ", (long long)(s / 3600), (long long)(s / 60 % 60), (long long)(s % 60));
  if (v->draining)
    put(t, YELLOW, "%s draining: %s is about to stop", dot, v->cloud ? v->cloud : "the cloud");
  else if (v->connected && v->cloud)
    put(t, GREEN, "%s cloud %s", dot, v->cloud);
  else if (v->cloud)
    put(t, YELLOW, "%s alone; coming back to %s", dot, v->cloud);
  else
    put(t, RED, "%s alone", dot);
  end_line(t);
}

/* Counts that should stay 0 are left out while they do, and stand out when they do not. */
static void put_count(struct text *t, enum colour colour, uint64_t n, const char *what) {
  if (n > 0) put(t, colour, "  %llu %s", (unsigned long long)n, what);
}

static void put_frames(struct text *t, const struct live_view *v) {
  if (!begin_line(t, "frames")) return;
  put(t, PLAIN, "%llu submitted  %llu answered  %d/%d in flight", (unsigned long long)v->submitted,
      (unsigned long long)v->answered, v->in_flight, v->window);
  put_count(t, RED, v->lost, "lost");
  put_count(t, YELLOW, v->bridged, "bridged");
  put_count(t, YELLOW, v->alone, "alone");
  put_count(t, YELLOW, v->dropped, "dropped");
  end_line(t);
}

static void put_speed(struct text *t, const struct live_view *v) {
  if (!begin_line(t, "speed")) return;
  put(t, BOLD, "%.1f", v->fps);
  put(t, PLAIN, " frames/s  latency ");
  if (v->p50_ms > 0)
    put(t, PLAIN, "p50 %.1f  p90 %.1f  p99 %.1f ms", v->p50_ms, v->p90_ms, v->p99_ms);
  else
    put(t, DIM, "of no frame yet");
  if (v->planned_ms > 0) put(t, DIM, " (planned %.1f)", v->planned_ms);
  end_line(t);
}

static void put_plan(struct text *t, const struct live_view *v) {
  if (!begin_line(t, "plan")) return;
  if (v->epoch == 0)
    put(t, YELLOW, "alone: all %d nodes here", v->nodes);
  else
    put(t, PLAIN, "epoch %d by %s: %d of %d nodes here, %d in the cloud", (int)v->epoch, v->policy, v->nodes_here,
        v->nodes, v->nodes - v->nodes_here);
  put_count(t, PLAIN, v->replans, v->replans == 1 ? "change" : "changes");
  end_line(t);
}

static void put_rate(struct text *t, const char *what, double mbit) {
  if (mbit > 0)
    put(t, PLAIN, "%s %.1f Mbit/s  ", what, mbit);
  else
    put(t, DIM, "%s -  ", what);
}

static void put_link(struct text *t, const struct live_view *v) {
  if (!begin_line(t, "link")) return;
  put_rate(t, "up", v->up_mbit);
  put_rate(t, "down", v->down_mbit);
  if (v->rtt_ms > 0)
    put(t, PLAIN, "round trip %.1f ms", v->rtt_ms);
  else
    put(t, DIM, "round trip -");
  end_line(t);
}

static void put_bar(struct text *t, const char *what, double share) {
  char bar[BAR * 3 + 1] = "";
  const char *on = t->style->utf8 ? "\xe2\x96\x88" : "#",
             *off = t->style->utf8 ? "\xe2\x96\x91" : "."; /* U+2588, U+2591 */
  if (share < 0) {
    put(t, DIM, "%s -  ", what);
    return;
  }
  if (share > 1) share = 1;
  int filled = (int)lround(share * BAR);
  for (int i = 0; i < BAR; i++) strcat(bar, i < filled ? on : off);
  put(t, PLAIN, "%s ", what);
  put(t, share > 0.9 ? YELLOW : GREEN, "%s", bar);
  put(t, PLAIN, " %.0f%%  ", 100 * share);
}

static void put_busy(struct text *t, const struct live_view *v) {
  if (!begin_line(t, "busy")) return;
  put_bar(t, "edge", v->edge_busy);
  put_bar(t, "up", v->up_busy);
  put_bar(t, "cloud", v->cloud_busy);
  if (v->cloud_load > 0) put(t, v->cloud_load > 1.5 ? YELLOW : DIM, "x%.1f", v->cloud_load);
  end_line(t);
}

/* One character a second; the newest that fit. Scaled from 0 to the largest, which is said behind it. */
static void put_history(struct text *t, const char *label, const double *value, int n, const char *unit) {
  static const char *const bars[2][8] = {
      {"_", ".", ":", "-", "=", "+", "*", "#"},
      {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84", "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87",
       "\xe2\x96\x88"}}; /* U+2581 to U+2588 */
  char line[LIVE_HISTORY * 3 + 1] = "";
  double most = 0;
  int room = t->style->columns > 0 ? t->style->columns - LABEL - SCALE : LIVE_HISTORY, first = n > room ? n - room : 0;
  if (room < 1 || !begin_line(t, label)) return;
  for (int i = first; i < n; i++)
    if (value[i] > most) most = value[i];
  for (int i = first; i < n; i++) {
    int level = most > 0 ? (int)(value[i] / most * 7.999) : 0;
    strcat(line, value[i] < 0 ? " " : bars[t->style->utf8][level]);
  }
  put(t, PLAIN, "%s", line);
  if (most > 0) put(t, DIM, most < 99.95 ? " %.1f %s" : " %.0f %s", most, unit);
  end_line(t);
}

int live_render(const struct live_view *v, const struct live_style *style, char *buf, size_t size) {
  struct text t = {.style = style, .at = buf, .end = buf + size};
  if (size > 0) *buf = '\0';
  put_state(&t, v);
  put_frames(&t, v);
  put_speed(&t, v);
  put_plan(&t, v);
  put_link(&t, v);
  put_busy(&t, v);
  put_history(&t, "latency", v->latency_ms, v->n_history, "ms");
  put_history(&t, "uplink", v->mbit, v->n_history, "Mbit/s");
  return t.lines;
}
