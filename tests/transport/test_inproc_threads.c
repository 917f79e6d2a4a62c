/* SPDX-License-Identifier: Apache-2.0
 * In-process links from many threads; made for TSan, so without Criterion. Every edge sends numbered messages and gets
 * each back; edges come and go while others talk, and messages may be released on a thread that is not the link's. */
#include "braid/transport.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { EDGES = 6, ROUNDS = 4, MESSAGES = 200, BYTES = 64 };

#define CHECK(ok)                                                                                                      \
  do {                                                                                                                 \
    if (!(ok)) {                                                                                                       \
      fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #ok, braid_error());                                     \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static const char uri[] = "inproc://threads";

static enum braid_status next(struct braid_link *link, braid_peer *peer, struct braid_msg *msg) {
  enum braid_status status;
  while ((status = braid_link_recv(link, peer, msg)) == BRAID_ETIMEDOUT) braid_link_wait(link, -1, -1);
  return status;
}

/* Sends back what comes until every edge has said BYE in every round and has gone. */
static void *echo(void *arg) {
  (void)arg;
  struct braid_link *link = NULL;
  CHECK(braid_link_open(uri, &(struct braid_link_opts){.listen = true}, &link) == BRAID_OK);
  for (int byes = 0, gone = 0; gone < EDGES * ROUNDS;) {
    braid_peer peer;
    struct braid_msg msg;
    enum braid_status status = next(link, &peer, &msg);
    if (status == BRAID_ECLOSED) {
      CHECK(++gone <= byes);
      continue;
    }
    CHECK(status == BRAID_OK);
    if (msg.type == BRAID_MSG_BYE)
      byes++;
    else
      CHECK(braid_link_send(link, peer, &msg) == BRAID_OK);
    braid_msg_release(&msg);
  }
  braid_link_close(&link);
  return NULL;
}

static void talk(struct braid_link *link, unsigned id) {
  for (unsigned sent = 0, received = 0; received < MESSAGES;) {
    struct braid_msg msg;
    if (sent < MESSAGES) {
      CHECK(braid_msg_init(&msg, BRAID_MSG_DATA, BYTES) == BRAID_OK);
      msg.node = id, msg.frame = sent++, msg.end = 1, msg.payload[0] = (uint8_t)msg.frame;
      CHECK(braid_link_send(link, 0, &msg) == BRAID_OK);
      if (sent % 16 != 0) continue;
    }
    braid_peer peer;
    CHECK(next(link, &peer, &msg) == BRAID_OK);
    CHECK(peer == 0 && msg.node == id && msg.frame == received && msg.payload[0] == (uint8_t)received);
    received++;
    braid_msg_release(&msg);
  }
}

static void *edge(void *arg) {
  unsigned id = *(const unsigned *)arg;
  for (int round = 0; round < ROUNDS; round++) {
    struct braid_link *link = NULL;
    CHECK(braid_link_open(uri, &(struct braid_link_opts){0}, &link) == BRAID_OK);
    talk(link, id);
    struct braid_msg bye = {.type = BRAID_MSG_BYE};
    CHECK(braid_link_send(link, 0, &bye) == BRAID_OK);
    braid_link_close(&link);
  }
  return NULL;
}

int main(void) {
  pthread_t cloud, edges[EDGES];
  unsigned ids[EDGES];
  for (unsigned i = 0; i < EDGES; i++) {
    ids[i] = i;
    CHECK(pthread_create(&edges[i], NULL, edge, &ids[i]) == 0);
  }
  CHECK(pthread_create(&cloud, NULL, echo, NULL) == 0);
  for (int i = 0; i < EDGES; i++) CHECK(pthread_join(edges[i], NULL) == 0);
  CHECK(pthread_join(cloud, NULL) == 0);
  printf("%d edges, %d rounds, %d messages each: all came back\n", EDGES, ROUNDS, MESSAGES);
  return 0;
}
