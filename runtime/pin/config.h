/* SPDX-License-Identifier: Apache-2.0
 * A pinning config as written (docs/pinning.md). Private to runtime/pin. */
#ifndef PIN_CONFIG_H
#define PIN_CONFIG_H

#include "braid/base.h"

enum pin_memory { PIN_MEMORY_ANY, PIN_MEMORY_BIND };
enum pin_kind { PIN_KIND_FASTEST_FIRST, PIN_KIND_ANY, PIN_KIND_PERFORMANCE, PIN_KIND_EFFICIENCY };

struct pin_group {
  int count; /* 0: one a place */
  char *bind;
  enum pin_memory memory;
  enum pin_kind kind;
};
struct pin_config {
  char *topology; /* NULL: what the caller has */
  struct pin_group *workers;
  unsigned n_workers;
  struct pin_group *io; /* NULL: not given */
};

/* BRAID_EINVAL as "FILE:LINE:COLUMN: what". */
enum braid_status pin_config_read(const char *path, struct pin_config **out);
void pin_config_free(struct pin_config **config);

#endif
