/* SPDX-License-Identifier: Apache-2.0
 * What a channel does with time and credit, with time given by hand. */
#include <criterion/criterion.h>
#include <string.h>

#include "session/channel.h"
#include "session/refuse.h"

#define HEARTBEAT_NS (INT64_C(1000) * 1000 * 1000)

/* A channel that connects, and the raw link that it speaks to. */
struct pair {
  struct io io;
  struct channel ch;
  struct braid_link *other;
  braid_peer peer;
  int64_t start_ns;
};

static struct pair *open_pair(const char *name) {
  struct pair *p = calloc(1, sizeof *p);
  struct braid_link_opts listen = {.listen = true};
  cr_assert_eq(braid_link_open(name, &listen, &p->other), BRAID_OK, "%s", braid_error());
  cr_assert_eq(io_open(&p->io, name, &(struct braid_link_opts){0}), BRAID_OK, "%s", braid_error());
  cr_assert_eq(channel_init(&p->ch, &p->io, 0, HEARTBEAT_NS, NULL, "x"), BRAID_OK);
  p->start_ns = p->ch.ticked_ns;
  return p;
}

static void close_pair(struct pair *p) {
  channel_fini(&p->ch);
  io_close(&p->io);
  braid_link_close(&p->other);
  free(p);
}

/* Messages of that type that have come; others are dropped. */
static int count(struct pair *p, enum braid_msg_type type, size_t *bytes) {
  int n = 0;
  struct braid_msg msg;
  while (braid_link_recv(p->other, &p->peer, &msg) == BRAID_OK) {
    n += msg.type == type;
    if (msg.type == type && bytes) *bytes += msg.payload_bytes;
    braid_msg_release(&msg);
  }
  return n;
}

Test(channel, is_dead_after_two_silent_heartbeats) {
  struct pair *p = open_pair("inproc://silence");
  int64_t t = p->start_ns;
  for (int i = 0; i < 7; i++) cr_assert_eq(channel_tick(&p->ch, t += HEARTBEAT_NS / 4), BRAID_OK);
  channel_alive(&p->ch);
  for (int i = 0; i < 7; i++) cr_assert_eq(channel_tick(&p->ch, t += HEARTBEAT_NS / 4), BRAID_OK);
  cr_assert_eq(channel_tick(&p->ch, t += HEARTBEAT_NS / 4), BRAID_ETIMEDOUT);
  cr_assert(strstr(braid_error(), "2000 ms"), "%s", braid_error());
  close_pair(p);
}

Test(channel, does_not_count_time_that_this_process_slept) {
  struct pair *p = open_pair("inproc://asleep");
  int64_t t = p->start_ns;
  for (int i = 0; i < 7; i++) cr_assert_eq(channel_tick(&p->ch, t += 100 * HEARTBEAT_NS), BRAID_OK);
  cr_assert_eq(channel_tick(&p->ch, t += 100 * HEARTBEAT_NS), BRAID_ETIMEDOUT, "but it does look at the link 8 times");
  close_pair(p);
}

Test(channel, pings_once_a_heartbeat) {
  struct pair *p = open_pair("inproc://pings");
  int64_t t = p->start_ns;
  for (int i = 0; i < 40; i++) {
    channel_alive(&p->ch);
    cr_assert_eq(channel_tick(&p->ch, t), BRAID_OK);
    cr_assert_leq(channel_sleep_ns(&p->ch, t), HEARTBEAT_NS / 4);
    t += HEARTBEAT_NS / 4;
  }
  cr_assert_eq(count(p, BRAID_MSG_PING, NULL), 10);
  close_pair(p);
}

Test(channel, bounds_what_a_probe_may_ask_for) {
  struct pair *p = open_pair("inproc://probes");
  struct braid_msg ping = {.type = BRAID_MSG_PING, .stamp_ns = 1, .begin = 400 << 10};
  size_t bytes = 0;
  for (int i = 0; i < 10; i++) cr_assert_eq(channel_hear(&p->ch, &ping, p->start_ns), BRAID_OK);
  cr_assert_eq(count(p, BRAID_MSG_PONG, &bytes), 10, "each is answered");
  cr_assert_eq(bytes, 1 << 20, "but not with more than 1 MiB");
  cr_assert_eq(channel_hear(&p->ch, &ping, p->start_ns + INT64_C(1000000000)), BRAID_OK);
  cr_assert_eq(count(p, BRAID_MSG_PONG, &bytes), 1);
  cr_assert_eq(bytes, (1 << 20) + (400 << 10), "a second later there is more");
  close_pair(p);
}

Test(channel, gives_credit_back_in_one_message) {
  struct pair *p = open_pair("inproc://credit");
  for (size_t i = 1; i <= 10; i++) channel_took(&p->ch, i);
  cr_assert_eq(channel_pump(&p->ch, p->start_ns), BRAID_OK);
  cr_assert_eq(channel_pump(&p->ch, p->start_ns), BRAID_OK);
  struct braid_msg msg;
  cr_assert_eq(braid_link_recv(p->other, &p->peer, &msg), BRAID_OK);
  cr_assert_eq(msg.type, BRAID_MSG_ACK);
  cr_assert_eq(msg.frame, 55);
  cr_assert_eq(braid_link_recv(p->other, &p->peer, &msg), BRAID_ETIMEDOUT);
  close_pair(p);
}

Test(channel, keeps_control_messages_in_order_when_the_link_is_full) {
  struct pair *p = open_pair("inproc://full");
  while (true) {
    struct braid_msg filler = {.type = BRAID_MSG_PLAN_OK};
    if (braid_link_send(p->io.link, 0, &filler) != BRAID_OK) break;
  }
  cr_assert_eq(channel_send_text(&p->ch, BRAID_MSG_WELCOME, "first", 0, 1), BRAID_OK);
  cr_assert_eq(channel_send_text(&p->ch, BRAID_MSG_REFUSE, "second", BRAID_EIO, 0), BRAID_OK);
  cr_assert_eq(count(p, BRAID_MSG_WELCOME, NULL), 0, "there was no room");
  cr_assert_eq(channel_pump(&p->ch, p->start_ns), BRAID_OK);
  struct braid_msg msg;
  cr_assert_eq(braid_link_recv(p->other, &p->peer, &msg), BRAID_OK);
  cr_assert_eq(msg.type, BRAID_MSG_WELCOME);
  braid_msg_release(&msg);
  cr_assert_eq(braid_link_recv(p->other, &p->peer, &msg), BRAID_OK);
  cr_assert_eq(msg.type, BRAID_MSG_REFUSE);
  char text[4];
  cr_assert_str_eq(refuse_text(&msg, text, sizeof text), "sec", "cut to size");
  braid_msg_release(&msg);
  close_pair(p);
}

Test(channel, bounds_what_a_peer_says_beside_data) {
  struct pair *p = open_pair("inproc://chatter");
  struct braid_msg ping = {.type = BRAID_MSG_PING}, data = {.type = BRAID_MSG_DATA};
  int64_t t = p->start_ns;
  for (int i = 0; i < 1000; i++) cr_assert_eq(channel_admit(&p->ch, &ping, t), BRAID_OK);
  cr_assert_eq(channel_admit(&p->ch, &ping, t), BRAID_EPROTO);
  cr_assert(strstr(braid_error(), "1000 control messages"), "%s", braid_error());
  for (int i = 0; i < 5000; i++) cr_assert_eq(channel_admit(&p->ch, &data, t), BRAID_OK, "DATA has credits");
  t += INT64_C(1000000000);
  for (int i = 0; i < 900; i++) cr_assert_eq(channel_admit(&p->ch, &ping, t), BRAID_OK, "a second later");
  struct braid_msg plan = {.type = BRAID_MSG_PLAN, .payload_bytes = 8 << 20};
  for (int i = 0; i < 4; i++) cr_assert_eq(channel_admit(&p->ch, &plan, t), BRAID_OK);
  cr_assert_eq(channel_admit(&p->ch, &plan, t), BRAID_EPROTO);
  close_pair(p);
}

Test(channel, takes_an_ack_for_a_message_at_most) {
  struct pair *p = open_pair("inproc://acks");
  struct braid_msg ack = {.type = BRAID_MSG_ACK, .frame = 1}, nothing = {.type = BRAID_MSG_ACK};
  p->ch.sent_messages = 2;
  cr_assert_eq(channel_admit(&p->ch, &nothing, p->start_ns), BRAID_EPROTO);
  for (int i = 0; i < 2; i++) cr_assert_eq(channel_admit(&p->ch, &ack, p->start_ns), BRAID_OK);
  cr_assert_eq(channel_admit(&p->ch, &ack, p->start_ns), BRAID_EPROTO);
  close_pair(p);
}

Test(channel, sends_a_long_thing_in_parts_that_the_link_can_take) {
  struct pair *p = open_pair("inproc://parts");
  struct braid_estimator *e = &p->ch.estimator;
  int64_t t = p->start_ns;
  cr_assert_eq(channel_part_bytes(&p->ch), 4 << 10, "a small one while nothing is known");
  braid_estimator_sent(e, 4 << 10, t);
  cr_assert_eq(channel_part_bytes(&p->ch), 0, "and one alone");
  braid_estimator_rtt(e, 10 * 1000 * 1000, t);
  braid_estimator_acked(e, 4 << 10, t += 50 * 1000 * 1000); /* 655 kbit/s */
  cr_assert_eq(channel_part_bytes(&p->ch), 4 << 10);
  int parts = 0;
  for (size_t n; (n = channel_part_bytes(&p->ch)) > 0; parts++) braid_estimator_sent(e, n, t);
  cr_assert(parts >= 2 && parts <= 3, "%d parts under way on a link that takes one in 50 ms", parts);
  close_pair(p);
}

Test(channel, leaves_models_to_those_who_have_asked_for_them) {
  struct pair *p = open_pair("inproc://models");
  struct braid_msg model = {.type = BRAID_MSG_MODEL, .payload_bytes = BRAID_MODEL_PART_MAX},
                   want = {.type = BRAID_MSG_WANT};
  for (int i = 0; i < 5000; i++) {
    cr_assert_eq(channel_admit(&p->ch, &model, p->start_ns), BRAID_OK);
    cr_assert_eq(channel_admit(&p->ch, &want, p->start_ns), BRAID_OK);
  }
  close_pair(p);
}
