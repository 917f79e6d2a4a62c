/* SPDX-License-Identifier: Apache-2.0
 * Links with keys: who gets in, who does not and what either side is told; and what cuts a connection off. */
#include "link_testing.h"

#include "zmq_link.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct world {
  char dir[64];
  struct braid_link_keys cloud, edge;
  struct braid_link *link; /* the cloud's */
};
static struct world w;

static void write_allowed(const char *name, const char *key) {
  char path[96];
  snprintf(path, sizeof path, "%s/allowed", w.dir);
  FILE *out = fopen(path, "w");
  cr_assert(out && fprintf(out, "%s %s\n", name, key) > 0 && fclose(out) == 0);
}

static struct braid_link *listen_with_keys(void) {
  struct braid_link *link = NULL;
  struct braid_link_opts opts = {.listen = true, .keys = &w.cloud, .max_payload_bytes = 1 << 20};
  cr_assert_eq(braid_link_open("tcp://127.0.0.1:0", &opts, &link), BRAID_OK, "%s", braid_error());
  return link;
}

static void set_up(void) {
  bool made;
  snprintf(w.dir, sizeof w.dir, "/tmp/braid-curve-XXXXXX");
  cr_assert(mkdtemp(w.dir));
  cr_assert_eq(braid_keys_make_cloud(w.dir, &made), BRAID_OK, "%s", braid_error());
  cr_assert_eq(braid_keys_make_edge(w.dir, "cam1", &made), BRAID_OK, "%s", braid_error());
  cr_assert_eq(braid_keys_read_cloud(w.dir, &w.cloud), BRAID_OK, "%s", braid_error());
  cr_assert_eq(braid_keys_read_edge(w.dir, "cam1", &w.edge), BRAID_OK, "%s", braid_error());
  w.link = listen_with_keys();
}

static void tear_down(void) {
  static const char *const files[] = {"cloud.key", "cloud.pub", "edges/cam1.key", "edges/cam1.pub", "allowed"};
  char path[96];
  braid_link_close(&w.link);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s/%s", w.dir, files[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/edges", w.dir);
  rmdir(path);
  rmdir(w.dir);
  braid_keys_wipe(&w.cloud);
  braid_keys_wipe(&w.edge);
}

TestSuite(curve, .init = set_up, .fini = tear_down, .timeout = 60);

static struct braid_link *connect_with(const struct braid_link_keys *keys) {
  struct braid_link *link = NULL;
  struct braid_link_opts opts = {.keys = keys};
  cr_assert_eq(braid_link_open(braid_link_address(w.link), &opts, &link), BRAID_OK, "%s", braid_error());
  return link;
}

/* Both links live in this thread: each gets its turn until both have something to say. */
static void expect_turned_away(struct braid_link *edge, const char *told_edge, const char *told_cloud) {
  char edge_hears[512] = "", cloud_hears[512] = "";
  struct braid_msg msg = data_message(1, 10);
  braid_peer peer;
  if (braid_link_send(edge, 0, &msg) != BRAID_OK) braid_msg_release(&msg);
  for (int i = 0; i < 2000 && !(*edge_hears && (*cloud_hears || !told_cloud)); i++) {
    braid_link_wait(w.link, -1, 5000000);
    enum braid_status status = braid_link_recv(w.link, &peer, &msg);
    cr_assert(status == BRAID_ETIMEDOUT || (status == BRAID_EPROTO && peer == 0), "%s", braid_status_text(status));
    if (status == BRAID_EPROTO) snprintf(cloud_hears, sizeof cloud_hears, "%s", braid_error());
    braid_link_wait(edge, -1, 5000000);
    status = braid_link_recv(edge, &peer, &msg);
    cr_assert(status == BRAID_ETIMEDOUT || status == BRAID_ECLOSED, "%s", braid_status_text(status));
    if (status == BRAID_ECLOSED) snprintf(edge_hears, sizeof edge_hears, "%s", braid_error());
  }
  cr_assert(strstr(edge_hears, told_edge), "the edge hears '%s', not '%s'", edge_hears, told_edge);
  if (!told_cloud) return;
  cr_assert(strstr(cloud_hears, told_cloud), "the cloud hears '%s', not '%s'", cloud_hears, told_cloud);
  cr_assert(strstr(cloud_hears, "127.0.0.1") || strstr(cloud_hears, "somebody"), "who? '%s'", cloud_hears);
}

/* Serves the handshakes until the first message is there. */
static braid_peer expect_let_in(struct braid_link *edge) {
  braid_peer peer;
  send_data(edge, 0, 7, 100);
  expect_data(w.link, &peer, 7, 100);
  cr_assert_str_eq(braid_link_peer_name(w.link, peer), "cam1");
  send_data(w.link, peer, 8, 1000);
  expect_data(edge, NULL, 8, 1000);
  return peer;
}

Test(curve, the_allowed_edge_is_let_in_by_name) {
  struct braid_link *edge = connect_with(&w.edge);
  braid_peer peer = expect_let_in(edge);
  cr_assert_str_eq(braid_link_peer_name(w.link, peer + 4711), "");
  cr_assert_str_eq(braid_link_peer_name(edge, 0), "");
  braid_link_close(&edge);
}

Test(curve, an_edge_without_keys_is_turned_away) {
  struct braid_link *edge = connect_with(NULL);
  expect_turned_away(edge, "keys", "keys");
  braid_link_close(&edge);
}

Test(curve, a_wrong_server_key_is_told) {
  struct braid_link_keys wrong = w.edge;
  memcpy(wrong.server_key, w.edge.public_key, sizeof wrong.server_key);
  struct braid_link *edge = connect_with(&wrong);
  expect_turned_away(edge, "wrong server key", "has another server key");
  braid_link_close(&edge);
}

static struct braid_link_keys stranger(void) {
  struct braid_link_keys keys = w.edge;
  cr_assert_eq(zmq_curve_keypair(keys.public_key, keys.secret_key), 0);
  return keys;
}

Test(curve, a_key_that_is_not_in_the_list_is_turned_away_and_named) {
  struct braid_link_keys keys = stranger();
  struct braid_link *edge = connect_with(&keys);
  expect_turned_away(edge, "allow-list", keys.public_key);
  braid_link_close(&edge);
}

Test(curve, keys_against_a_cloud_in_the_clear) {
  braid_link_close(&w.link);
  w.link = open_link("tcp://127.0.0.1:0", true, 0);
  struct braid_link *edge = connect_with(&w.edge);
  expect_turned_away(edge, "listens in the clear", NULL);
  braid_link_close(&edge);
}

Test(curve, nobody_is_let_in_while_the_list_cannot_be_read) {
  write_allowed("not a", "line");
  struct braid_link *edge = connect_with(&w.edge);
  char news[512] = "";
  struct braid_msg msg;
  braid_peer peer;
  for (int i = 0; i < 2000 && !strstr(news, "127.0.0.1");
       i++) { /* first the trouble with the file, then with the edge */
    braid_link_wait(w.link, -1, 5000000);
    if (braid_link_recv(w.link, &peer, &msg) == BRAID_EPROTO) snprintf(news, sizeof news, "%s", braid_error());
  }
  cr_assert(strstr(news, "cannot be read"), "%s", news);
  braid_link_close(&edge);
}

Test(curve, who_is_added_to_the_list_is_let_in_and_who_is_taken_off_is_cut_off) {
  struct braid_link_keys keys = stranger();
  struct braid_link *first = connect_with(&w.edge), *second;
  braid_peer peer = expect_let_in(first), gone = 0;
  write_allowed("cam2", keys.public_key);
  struct braid_msg msg;
  enum braid_status status = next_message(w.link, &gone, &msg);
  cr_assert(status == BRAID_ECLOSED && gone == peer, "%s", braid_status_text(status));
  cr_assert(strstr(braid_error(), "taken off the list"), "%s", braid_error());
  cr_assert_eq(next_message(first, &gone, &msg), BRAID_ECLOSED, "the edge that was cut off");
  second = connect_with(&keys);
  send_data(second, 0, 1, 10);
  expect_data(w.link, &peer, 1, 10);
  cr_assert_str_eq(braid_link_peer_name(w.link, peer), "cam2");
  braid_link_close(&first);
  braid_link_close(&second);
}

Test(curve, a_key_that_moves_to_another_name_is_somebody_else) {
  struct braid_link *edge = connect_with(&w.edge);
  braid_peer peer = expect_let_in(edge), gone = 0;
  write_allowed("cam9", w.edge.public_key);
  struct braid_msg msg;
  cr_assert_eq(next_message(w.link, &gone, &msg), BRAID_ECLOSED);
  cr_assert_eq(gone, peer);
  braid_link_close(&edge);
}

/* ------------------------------------------------------------------------------------------- cut off, or not */

static void *raw_dealer(void *context, const struct braid_link *to, const char *routing_id) {
  void *socket = zmq_socket(context, ZMQ_DEALER);
  int linger = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  if (routing_id) zmq_setsockopt(socket, ZMQ_ROUTING_ID, routing_id, strlen(routing_id));
  cr_assert_eq(zmq_connect(socket, braid_link_address(to)), 0);
  return socket;
}

static void expect_news(struct braid_link *link, const char *text) {
  struct braid_msg msg;
  braid_peer peer;
  enum braid_status status = next_message(link, &peer, &msg);
  cr_assert(status == BRAID_EPROTO && peer == 0, "%s", braid_status_text(status));
  cr_assert(strstr(braid_error(), text), "'%s' is not in '%s'", text, braid_error());
}

Test(cut, a_peer_with_a_routing_id_of_its_own, .timeout = 60) {
  struct braid_link *cloud = open_link("tcp://127.0.0.1:0", true, 0);
  void *context = zmq_ctx_new(), *socket = raw_dealer(context, cloud, "somebody else");
  cr_assert_eq(zmq_send(socket, "hello", 5, 0), 5);
  expect_news(cloud, "routing id of its own");
  zmq_close(socket);
  zmq_ctx_term(context);
  braid_link_close(&cloud);
}

Test(cut, a_peer_that_says_nothing, .timeout = 60) {
  struct braid_link *cloud = open_link("tcp://127.0.0.1:0", true, 0);
  void *context = zmq_ctx_new(), *socket = raw_dealer(context, cloud, NULL);
  expect_news(cloud, "said nothing");
  zmq_close(socket);
  zmq_ctx_term(context);
  braid_link_close(&cloud);
}

static size_t resident_bytes(void) {
  long pages = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  cr_assert(f && fscanf(f, "%ld %ld", &pages, &resident) == 2 && fclose(f) == 0);
  return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* ZMTP by hand: libzmq would keep an unfinished message to itself. */
static void send_parts_for_ever(const char *address) {
  static const unsigned char greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'},
                             ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                       "DEALER";
  static unsigned char part[9 + 65536] = {3, 0, 0, 0, 0, 0, 1, 0, 0}; /* long, more follow */
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int port = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (sscanf(address, "tcp://127.0.0.1:%d", &port) != 1) _exit(1);
  to.sin_port = htons((uint16_t)port);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) _exit(1);
  bool up =
      send(fd, greeting, sizeof greeting, MSG_NOSIGNAL) > 0 && send(fd, ready, sizeof ready - 1, MSG_NOSIGNAL) > 0;
  unsigned char answer[64 + 28]; /* its greeting, and most of its READY, which is longer than ours */
  up = up && recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer;
  while (up) up = send(fd, part, sizeof part, MSG_NOSIGNAL) > 0;
  _exit(0);
}

/* The sender is a process of its own: its memory does not count. */
Test(cut, a_message_without_an_end, .timeout = 60) {
  struct braid_link *cloud = open_link("tcp://127.0.0.1:0", true, 1 << 20), *honest;
  char address[128];
  snprintf(address, sizeof address, "%s", braid_link_address(cloud));
  pid_t child = fork();
  if (child == 0) send_parts_for_ever(address);
  honest = open_link(address, false, 0);
  send_data(honest, 0, 1, 100);
  expect_data(cloud, NULL, 1, 100);
  expect_news(cloud, "no whole message");
  send_data(honest, 0, 2, 100);
  expect_data(cloud, NULL, 2, 100);
  cr_assert_lt(resident_bytes(), (size_t)2 << 30, "%zu bytes", resident_bytes());
  cr_assert_eq(waitpid(child, NULL, 0), child);
  braid_link_close(&honest);
  braid_link_close(&cloud);
}

/* What tells a message without an end from traffic: exactly what came is counted. */
static void expect_exact_count(struct braid_link *cloud, struct braid_link *edge) {
  braid_peer peer = 0;
  static const size_t sizes[] = {1, 63, 191, 192, 200, 222, 223, 255, 256, 300, 65536, 300000};
  for (int round = 0; round < 20; round++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      send_data(edge, 0, i, sizes[i]);
      expect_data(cloud, &peer, i, sizes[i]);
    }
  struct zmq_link *link = (struct zmq_link *)(void *)cloud;
  const struct zmq_peer *known = zmq_peers_find(link->peers, peer);
  const struct zmq_conn *conn = zmq_conns_find(link->conns, known->fd);
  uint64_t received = zmq_conn_received_bytes(conn);
  cr_assert_gt(known->taken_bytes, 7000000);
  cr_assert(received >= known->taken_bytes && received - known->taken_bytes < 1000, "%llu of %llu bytes",
            (unsigned long long)known->taken_bytes, (unsigned long long)received); /* the rest is the handshake */
}

Test(curve, every_byte_is_counted) {
  struct braid_link *edge = connect_with(&w.edge);
  expect_exact_count(w.link, edge);
  braid_link_close(&edge);
}

Test(cut, every_byte_is_counted, .timeout = 60) {
  struct braid_link *cloud = open_link("tcp://127.0.0.1:0", true, 0);
  struct braid_link *edge = open_link(braid_link_address(cloud), false, 0);
  expect_exact_count(cloud, edge);
  braid_link_close(&edge);
  braid_link_close(&cloud);
}

Test(links, nothing_listens_in_the_clear_where_others_can_reach_it) {
  struct braid_link *link = NULL;
  static const char *const reachable[] = {"tcp://*:0", "tcp://0.0.0.0:0"};
  for (size_t i = 0; i < sizeof reachable / sizeof *reachable; i++) {
    cr_assert_eq(braid_link_open(reachable[i], &(struct braid_link_opts){.listen = true}, &link), BRAID_EINVAL);
    cr_assert(strstr(braid_error(), "--keys") && strstr(braid_error(), "--insecure"), "%s", braid_error());
    struct braid_link_opts told = {.listen = true, .allow_clear = true};
    cr_assert_eq(braid_link_open(reachable[i], &told, &link), BRAID_OK, "%s", braid_error());
    braid_link_close(&link);
  }
}
