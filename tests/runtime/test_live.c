/* SPDX-License-Identifier: Apache-2.0
 * The picture of `braid edge --live`, by the letter. */
#include <criterion/criterion.h>
#include <string.h>

#include "live.h"

#define S INT64_C(1000000000)

static struct live_view usual(void) {
  return (struct live_view){.model = "googlenet",
                            .policy = "braid",
                            .cloud = "tcp://10.0.0.7:5555",
                            .connected = true,
                            .elapsed_ns = 3683 * S + S / 2,
                            .submitted = 120,
                            .answered = 118,
                            .in_flight = 2,
                            .window = 4,
                            .fps = 19.84,
                            .p50_ms = 98.2,
                            .p90_ms = 101.04,
                            .p99_ms = 130.1,
                            .planned_ms = 99.1,
                            .nodes_here = 57,
                            .nodes = 142,
                            .epoch = 3,
                            .up_mbit = 20.1,
                            .down_mbit = 19.8,
                            .rtt_ms = 20.4,
                            .edge_busy = 0.61,
                            .up_busy = 0.934,
                            .cloud_busy = 0,
                            .cloud_load = 1.13,
                            .n_history = 10,
                            .latency_ms = {90, 95, 100, 98, 200, 99, -1, 98, 97, 98},
                            .mbit = {0, 1, 5, 10, 20, 19, 0, 18, 18, 20}};
}

static const struct live_style ascii = {80, 24, false, false};

static void expect(const struct live_view *view, const struct live_style *style, int lines, const char *want) {
  char got[8192];
  int n = live_render(view, style, got, sizeof got);
  cr_assert_str_eq(got, want, "it is\n%swhere it should be\n%s", got, want);
  cr_assert_eq(n, lines);
}

Test(live, a_run_with_a_cloud) {
  struct live_view view = usual();
  expect(&view, &ascii, 8,
         "edge    googlenet  01:01:23  * cloud tcp://10.0.0.7:5555\n"
         "frames  120 submitted  118 answered  2/4 in flight\n"
         "speed   19.8 frames/s  latency p50 98.2  p90 101.0  p99 130.1 ms (planned 99.1)\n"
         "plan    epoch 3 by braid: 57 of 142 nodes here, 85 in the cloud\n"
         "link    up 20.1 Mbit/s  down 19.8 Mbit/s  round trip 20.4 ms\n"
         "busy    edge ######.... 61%  up #########. 93%  cloud .......... 0%  x1.1\n"
         "latency ----#- --- 200 ms\n"
         "uplink  __.-##_### 20.0 Mbit/s\n");
}

Test(live, bars_are_blocks_where_the_terminal_has_them) {
  struct live_view view = usual();
  struct live_style style = {80, 24, false, true};
  char got[8192];
  cr_assert_eq(live_render(&view, &style, got, sizeof got), 8);
  cr_assert(strstr(got, "01:01:23  \xe2\x97\x8f cloud tcp"), "%s", got);
  cr_assert(strstr(got, "edge \xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x91"),
            "%s", got);
  cr_assert(strstr(got, "uplink  \xe2\x96\x81\xe2\x96\x81\xe2\x96\x82\xe2\x96\x84\xe2\x96\x88"), "%s", got);
}

Test(live, what_goes_wrong_stands_out) {
  struct live_view view = usual();
  struct live_style style = {80, 3, true, false};
  view.cloud = NULL;
  view.connected = false;
  view.epoch = 0;
  view.lost = 1;
  view.bridged = 2;
  expect(&view, &style, 2,
         "\033[2medge    \033[0m\033[1mgooglenet\033[0m  01:01:23  \033[31m* alone\033[0m\n"
         "\033[2mframes  \033[0m120 submitted  118 answered  2/4 in flight\033[31m  1 lost\033[0m\033[33m  2 "
         "bridged\033[0m\n");
}

Test(live, without_a_cloud_nothing_is_said_of_it) {
  struct live_view view = {.model = "net", .policy = "", .elapsed_ns = 0, .window = 3, .nodes = 12, .nodes_here = 12,
                           .edge_busy = 0.5, .up_busy = -1, .cloud_busy = -1, .alone = 4, .dropped = 7, .replans = 1};
  expect(&view, &ascii, 8,
         "edge    net  00:00:00  * alone\n"
         "frames  0 submitted  0 answered  0/3 in flight  4 alone  7 dropped\n"
         "speed   0.0 frames/s  latency of no frame yet\n"
         "plan    alone: all 12 nodes here  1 change\n"
         "link    up -  down -  round trip -\n"
         "busy    edge #####..... 50%  up -  cloud -  \n"
         "latency \n"
         "uplink  \n");
}

Test(live, a_cloud_that_leaves_or_comes) {
  struct live_view view = usual();
  struct live_style style = {80, 2, false, false};
  view.draining = true;
  expect(&view, &style, 1, "edge    googlenet  01:01:23  * draining: tcp://10.0.0.7:5555 is about to stop\n");
  view.draining = view.connected = false;
  expect(&view, &style, 1, "edge    googlenet  01:01:23  * alone; coming back to tcp://10.0.0.7:5555\n");
}

/* Of any width and height, no line is wider, none is more than there are rows for, and text and colours stay whole. */
Test(live, fits_every_terminal) {
  struct live_view view = usual();
  view.n_history = LIVE_HISTORY;
  for (int i = 0; i < LIVE_HISTORY; i++) view.latency_ms[i] = i, view.mbit[i] = 1000 + i;
  for (int columns = 1; columns < 130; columns++)
    for (int rows = 1; rows < 12; rows++) {
      struct live_style style = {columns, rows, true, true};
      char got[8192];
      int lines = live_render(&view, &style, got, sizeof got), seen = 0, width = 0;
      cr_assert_lt(lines, rows, "the cursor needs a row, too");
      for (const char *c = got; *c; c++) {
        if (*c == '\033') {
          while (*c != 'm') cr_assert_neq(*++c, '\0');
          continue;
        }
        seen += *c == '\n';
        width = *c == '\n' ? 0 : width + (((unsigned char)*c & 0xc0) != 0x80);
        cr_assert_leq(width, columns);
      }
      cr_assert_eq(seen, lines);
    }
}

Test(live, a_minute_fits_eighty_columns) {
  struct live_view view = usual();
  char got[8192];
  view.n_history = LIVE_HISTORY;
  for (int i = 0; i < LIVE_HISTORY; i++) view.latency_ms[i] = 1, view.mbit[i] = 20;
  live_render(&view, &ascii, got, sizeof got);
  const char *line = strstr(got, "uplink  ");
  cr_assert(line);
  cr_assert_eq(strspn(line + 8, "#"), LIVE_HISTORY);
  cr_assert(strstr(line, "# 20.0 Mbit/s\n"), "%s", line);
}

Test(live, names_do_not_reach_the_terminal_as_they_are) {
  struct live_view view = usual();
  struct live_style style = {80, 2, true, false};
  char got[8192];
  view.model = "a\033[2Jb\nc";
  cr_assert_eq(live_render(&view, &style, got, sizeof got), 1);
  cr_assert(strstr(got, "a?[2Jb?c"), "%s", got);
}

Test(live, a_buffer_that_is_too_small_is_not_overrun) {
  struct live_view view = usual();
  char got[64];
  for (size_t size = 1; size < sizeof got; size++) {
    memset(got, 'x', sizeof got);
    live_render(&view, &ascii, got, size);
    cr_assert_lt(strnlen(got, size), size);
    for (size_t i = size; i < sizeof got; i++) cr_assert_eq(got[i], 'x');
  }
}
