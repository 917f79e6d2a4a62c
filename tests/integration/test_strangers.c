/* SPDX-License-Identifier: Apache-2.0
 * A cloud with keys, and processes that come to it: those without keys, with the wrong ones, or with none of ZeroMQ's
 * manners get nothing, and the cloud says who they were; the edge that is allowed is served meanwhile. Every stranger
 * is a process of its own, forked before the cloud's threads start, and gets the address through a pipe. */
#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random_graph.h"
#include "session_rig.h"

enum { GREETING_BYTES = 64, GOT_SOMETHING = 2, NOT_TOLD = 3 };

struct world {
  char dir[64];
  struct braid_graph *graph;
  struct braid_plan *plan;
  struct rig_sample *sample;
  char hello[256];
};
static struct world w;

/* ----------------------------------------------------------------------------------------------- strangers */

/* Says HELLO and PING, and takes whatever comes until the link has ended. */
static int over_a_link(const char *address, const struct braid_link_keys *keys, const char *told) {
  struct braid_link_opts opts = {.keys = keys};
  struct braid_link *link;
  MUST(braid_link_open(address, &opts, &link));
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, w.hello, strlen(w.hello));
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_PING, .stamp_ns = 1, .begin = 1000}, NULL, 0);
  enum braid_status status;
  struct braid_msg msg;
  braid_peer peer;
  while ((status = braid_link_recv(link, &peer, &msg)) == BRAID_ETIMEDOUT) braid_link_wait(link, -1, -1);
  if (status != BRAID_ECLOSED) return GOT_SOMETHING;
  printf("    is told: %s\n", braid_error());
  return strstr(braid_error(), told) ? 0 : NOT_TOLD;
}

static struct braid_link_keys edge_keys(void) {
  struct braid_link_keys keys;
  MUST(braid_keys_read_edge(w.dir, "cam1", &keys));
  return keys;
}

static int without_keys(const char *address) {
  return over_a_link(address, NULL, "keys");
}

static int with_a_wrong_server_key(const char *address) {
  struct braid_link_keys keys = edge_keys();
  memcpy(keys.server_key, keys.public_key, sizeof keys.server_key);
  return over_a_link(address, &keys, "wrong server key");
}

/* The keys of the cloud itself are a pair that is on no list. */
static int with_a_key_off_the_list(const char *address) {
  struct braid_link_keys keys = edge_keys(), other;
  MUST(braid_keys_read_cloud(w.dir, &other));
  memcpy(keys.public_key, other.public_key, sizeof keys.public_key);
  memcpy(keys.secret_key, other.secret_key, sizeof keys.secret_key);
  return over_a_link(address, &keys, "refused by the cloud's allow-list");
}

static int tcp_connect(const char *address) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int port = 0, fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(sscanf(address, "tcp://127.0.0.1:%d", &port) == 1, "%s", address);
  to.sin_port = htons((uint16_t)port);
  CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
  return fd;
}

/* Bytes, then all that comes back until the cloud has had enough: ZeroMQ's greeting, which says what it always says. */
static int over_tcp(const char *address, const void *bytes, size_t size) {
  int fd = tcp_connect(address);
  size_t got = 0;
  char buf[4096];
  if (send(fd, bytes, size, MSG_NOSIGNAL) < 0) return NOT_TOLD;
  for (ssize_t n; (n = recv(fd, buf, sizeof buf, 0)) > 0;) got += (size_t)n;
  close(fd);
  printf("    gets %zu bytes of greeting\n", got);
  return got > GREETING_BYTES ? GOT_SOMETHING : 0;
}

static int by_hand_in_the_clear(const char *address) {
  uint8_t bytes[512] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
  static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                              "DEALER";
  size_t n = GREETING_BYTES, hello_bytes = strlen(w.hello);
  memcpy(bytes + n, ready, sizeof ready - 1);
  n += sizeof ready - 1;
  struct braid_msg msg = {.type = BRAID_MSG_HELLO, .node = 1, .payload_bytes = hello_bytes};
  CHECK(BRAID_WIRE_HEADER_BYTES + hello_bytes < 256, "a short frame");
  bytes[n + 1] = (uint8_t)(BRAID_WIRE_HEADER_BYTES + hello_bytes);
  n += 2;
  braid_wire_encode_header(&msg, bytes + n);
  n += BRAID_WIRE_HEADER_BYTES;
  memcpy(bytes + n, w.hello, hello_bytes);
  return over_tcp(address, bytes, n + hello_bytes);
}

/* ZeroMQ before version 3 had no keys; a greeting of that time is no way round them. */
static int by_hand_as_in_old_times(const char *address) {
  return over_tcp(address, "\x01\x00\x06\x00hello\x06\x00hello", 16);
}

static int by_browser(const char *address) {
  static const char get[] = "GET / HTTP/1.1\r\nHost: braid\r\nAccept: text/html\r\nUser-Agent: somebody\r\n\r\n";
  return over_tcp(address, get, sizeof get - 1);
}

static int allowed_edge(const char *address) {
  struct braid_link_keys keys = edge_keys();
  struct braid_edge_opts opts = {.connect = address, .keys = &keys, .model = "net", .threads = 1, .plan = w.plan};
  struct braid_edge *edge;
  MUST(braid_edge_start(w.graph, &opts, &edge));
  rig_run_frames(edge, &w.sample, 1, 20, 1);
  braid_edge_stop(&edge);
  return 0;
}

/* ------------------------------------------------------------------------------------------------- processes */

static const struct visitor {
  const char *name;
  int (*come)(const char *address);
  const char *event, *text; /* what the cloud says of it */
} visitors[] = {
    {"without keys", without_keys, "refused", "keys"},
    {"with a wrong server key", with_a_wrong_server_key, "refused", "another server key"},
    {"with a key off the list", with_a_key_off_the_list, "refused", "is not in the list of those allowed"},
    {"the allowed edge", allowed_edge, "joined", "(cam1)"},
    {"by hand, in the clear", by_hand_in_the_clear, "refused", ""},
    {"by hand, as in old times", by_hand_as_in_old_times, "refused", ""},
    {"by browser", by_browser, "refused", ""},
    {"the allowed edge again", allowed_edge, "left", "(cam1) after 20 frames"},
};
enum { VISITORS = sizeof visitors / sizeof *visitors };

struct process {
  pid_t pid;
  int to;
};

static struct process fork_visitor(const struct visitor *v) {
  int ends[2];
  CHECK(pipe(ends) == 0, "pipe");
  fflush(stdout);
  pid_t pid = fork();
  CHECK(pid >= 0, "fork");
  if (pid > 0) {
    close(ends[0]);
    return (struct process){pid, ends[1]};
  }
  char address[128];
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(ends[1]);
  if (read(ends[0], address, sizeof address) <= 0) _exit(1);
  rig_case(v->name, 60);
  int result = v->come(address);
  fflush(stdout);
  _exit(result);
}

static void let_come(struct process *p, const char *address) {
  char text[128] = "";
  int status;
  snprintf(text, sizeof text, "%s", address);
  CHECK(write(p->to, text, sizeof text) == sizeof text, "pipe");
  CHECK(waitpid(p->pid, &status, 0) == p->pid, "wait");
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) != GOT_SOMETHING, "a stranger got something");
  CHECK(WEXITSTATUS(status) == 0, "exit status %d", WEXITSTATUS(status));
  close(p->to);
}

static void make_world(void) {
  char hash[65];
  bool made;
  snprintf(w.dir, sizeof w.dir, "/tmp/braid-strangers-XXXXXX");
  CHECK(mkdtemp(w.dir), "mkdtemp");
  MUST(braid_keys_make_cloud(w.dir, &made));
  MUST(braid_keys_make_edge(w.dir, "cam1", &made));
  w.graph = rig_graph(42, 16, RANDOM_GRAPH_WEIGHTS);
  w.plan = rig_plan_all(w.graph, BRAID_CLOUD);
  w.sample = rig_sample(w.graph, 1);
  braid_graph_hash_text(w.graph, hash);
  snprintf(w.hello, sizeof w.hello, "{\"version\":%d,\"model\":\"net\",\"hash\":\"%s\",\"threads\":1}",
           BRAID_WIRE_VERSION, hash);
}

static void end_world(void) {
  static const char *const files[] = {"cloud.key", "cloud.pub", "edges/cam1.key", "edges/cam1.pub", "allowed"};
  char path[96];
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s/%s", w.dir, files[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/edges", w.dir);
  rmdir(path);
  rmdir(w.dir);
  rig_sample_free(w.sample);
  braid_plan_destroy(&w.plan);
  braid_graph_destroy(&w.graph);
}

int main(void) {
  make_world();
  struct process process[VISITORS];
  for (int i = 0; i < VISITORS; i++) process[i] = fork_visitor(&visitors[i]);
  struct braid_link_keys keys;
  MUST(braid_keys_read_cloud(w.dir, &keys));
  struct braid_cloud_opts opts = {.keys = &keys};
  struct rig_cloud *cloud = rig_cloud_start("tcp", w.graph, &opts);
  braid_keys_wipe(&keys);
  for (int i = 0; i < VISITORS; i++) {
    rig_case(visitors[i].name, 60);
    let_come(&process[i], cloud->address);
    rig_cloud_await(cloud, visitors[i].event, visitors[i].text);
  }
  rig_cloud_stop(cloud);
  end_world();
  rig_done();
  return 0;
}
