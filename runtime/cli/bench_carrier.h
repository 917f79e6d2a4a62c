/* SPDX-License-Identifier: Apache-2.0
 * Ways to bring bytes from one process to another, behind one face, for `braid bench link`. */
#ifndef BRAID_CLI_BENCH_CARRIER_H
#define BRAID_CLI_BENCH_CARRIER_H

#include "cli.h"

enum { CARRIER_ADDRESS_BYTES = 128 };

/* Of both ends; made before they part. */
struct carrier_keys {
  struct braid_link_keys cloud, edge;
  char dir[64];
};
enum braid_status carrier_keys_make(struct carrier_keys *keys); /* in a temporary folder */
void carrier_keys_remove(struct carrier_keys *keys);

struct carrier_end;
struct carrier {
  const char *name;
  bool curve;
  enum braid_status (*open)(const struct carrier *carrier, const struct carrier_keys *keys, const char *connect,
                            struct carrier_end **out); /* connect NULL: listens */
  void (*address)(struct carrier_end *end, char address[CARRIER_ADDRESS_BYTES]);
  /* Blocks; the bytes may be changed when it returns. A listening end sends to whom it heard last. */
  enum braid_status (*send)(struct carrier_end *end, const uint8_t *bytes, size_t size);
  /* Blocks; *bytes is valid until the next recv. */
  enum braid_status (*recv)(struct carrier_end *end, const uint8_t **bytes, size_t *size);
  void (*close)(struct carrier_end *end);
};

enum { CARRIER_TCP, CARRIER_ZMQ, CARRIER_BRAID, CARRIER_ZMQ_CURVE, CARRIER_BRAID_CURVE, CARRIERS };
extern const struct carrier carriers[CARRIERS];
void carrier_zmq_version(char *text, size_t size);

#endif
