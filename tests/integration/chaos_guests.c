/* SPDX-License-Identifier: Apache-2.0 */
#include "chaos_guests.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)

struct guest {
  uint64_t seed, at;
  char address[128];
  const struct braid_graph *graph;
  const struct braid_plan *plan;
};

static uint64_t draw(struct guest *g, uint64_t n) {
  return braid_random_u64(g->seed, g->at++) % n;
}

static void fill(struct guest *g, uint8_t *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)braid_random_u64(g->seed, g->at++);
}

static void rest(struct guest *g, uint64_t most_ms) {
  nanosleep(&(struct timespec){.tv_nsec = (long)((int64_t)draw(g, most_ms) * MS)}, NULL);
}

/* ------------------------------------------------------------------------------------------------- bare TCP */

static int dial(const struct guest *g) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int port = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (sscanf(g->address, "tcp://127.0.0.1:%d", &port) != 1) _exit(1);
  to.sin_port = htons((uint16_t)port);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  close(fd);
  return -1;
}

/* Junk; or ZeroMQ's greeting and its READY, and junk where frames should follow. */
static void throw_bytes(struct guest *g) {
  static const uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
  static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                              "DEALER";
  uint8_t junk[4096];
  size_t n = 1 + draw(g, sizeof junk);
  int fd = dial(g);
  if (fd < 0) return;
  fill(g, junk, n);
  if (draw(g, 2)) {
    (void)!send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
    (void)!send(fd, ready, sizeof ready - 1, MSG_NOSIGNAL);
    junk[0] &= 7; /* flags that a frame may have */
  }
  (void)!send(fd, junk, n, MSG_NOSIGNAL);
  rest(g, 50);
  close(fd);
}

/* ------------------------------------------------------------------------------------------------- messages */

/* Reads what comes for a while; false when the link is over. */
static bool listen_for(struct braid_link *link, int64_t ns, enum braid_msg_type until) {
  struct braid_clock clock = braid_clock_monotonic();
  int64_t end_ns = braid_now_ns(&clock) + ns;
  for (int64_t left_ns; (left_ns = end_ns - braid_now_ns(&clock)) > 0;) {
    struct braid_msg msg;
    braid_peer peer;
    enum braid_status status = braid_link_recv(link, &peer, &msg);
    if (status == BRAID_ECLOSED) return false;
    if (status == BRAID_ETIMEDOUT) braid_link_wait(link, -1, left_ns);
    if (status != BRAID_OK) continue;
    bool met = msg.type == until;
    braid_msg_release(&msg);
    if (met) return true;
  }
  return false;
}

/* Any fields under a header that is well formed. */
static void throw_message(struct guest *g, struct braid_link *link) {
  uint8_t payload[2048];
  size_t n = draw(g, 4) ? draw(g, sizeof payload) : 0;
  fill(g, payload, n);
  struct braid_msg msg = {.type = (enum braid_msg_type)(1 + draw(g, 11)),
                          .epoch = (uint32_t)draw(g, 4),
                          .node = (uint32_t)draw(g, 40),
                          .frame = draw(g, 20),
                          .stamp_ns = (int64_t)draw(g, 1000)};
  msg.begin = (uint32_t)draw(g, 20);
  msg.end = msg.begin + 1 + (uint32_t)draw(g, 20);
  rig_raw_send(link, 0, msg, n ? payload : NULL, n);
}

static void throw_messages(struct guest *g, struct braid_link *link) {
  for (uint64_t i = 1 + draw(g, 20); i > 0; i--) throw_message(g, link);
  (void)listen_for(link, (int64_t)draw(g, 50) * MS, BRAID_MSG_BYE);
}

/* -------------------------------------------------------------------------------------- an edge that misbehaves */

static bool say_hello(const struct guest *g, struct braid_link *link) {
  char hash[65], text[256];
  braid_graph_hash_text(g->graph, hash);
  snprintf(text, sizeof text, "{\"version\":%d,\"model\":\"net\",\"hash\":\"%s\",\"threads\":1}", BRAID_WIRE_VERSION,
           hash);
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, text, strlen(text));
  return listen_for(link, 2000 * MS, BRAID_MSG_WELCOME);
}

static bool agree(const struct guest *g, struct braid_link *link) {
  char *json;
  MUST(braid_plan_to_json(g->plan, g->graph, NULL, -1, &json));
  rig_raw_plan(link, 1, 8, json);
  braid_free(json);
  return listen_for(link, 2000 * MS, BRAID_MSG_PLAN_OK);
}

/* Rows of an input, right ones at first, in any order, some twice, some too many; ACKs for nothing; then silence. */
static void misbehave(struct guest *g, struct braid_link *link) {
  int n_in;
  int input = braid_graph_inputs(g->graph, &n_in)[0];
  const struct braid_node *node = braid_graph_node(g->graph, input);
  size_t row_bytes = node->bytes / (size_t)node->rows;
  if (!say_hello(g, link) || !agree(g, link)) return;
  for (uint64_t i = 5 + draw(g, 40); i > 0; i--) {
    struct braid_msg msg = {.type = BRAID_MSG_DATA,
                            .epoch = 1,
                            .frame = 1 + draw(g, 9),
                            .node = (uint32_t)input,
                            .end = (uint32_t)node->rows};
    if (draw(g, 8) == 0) msg.begin = (uint32_t)draw(g, (uint64_t)node->rows);
    rig_raw_send(link, 0, msg, NULL, row_bytes * (msg.end - msg.begin));
    if (draw(g, 8) == 0) throw_message(g, link);
  }
  rest(g, 400);
}

static void over_a_link(struct guest *g, void (*say)(struct guest *, struct braid_link *)) {
  struct braid_link *link;
  if (braid_link_open(g->address, &(struct braid_link_opts){0}, &link) != BRAID_OK) return;
  say(g, link);
  braid_link_close(&link);
}

void chaos_guest(int go, uint64_t seed, const struct braid_graph *graph, const struct braid_plan *plan) {
  struct guest g = {.seed = seed, .graph = graph, .plan = plan};
  if (read(go, g.address, sizeof g.address) != sizeof g.address) _exit(0);
  for (;;) {
    switch (draw(&g, 3)) {
    case 0:
      throw_bytes(&g);
      break;
    case 1:
      over_a_link(&g, throw_messages);
      break;
    default:
      over_a_link(&g, misbehave);
    }
    rest(&g, 50);
  }
}
