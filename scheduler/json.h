/* SPDX-License-Identifier: Apache-2.0
 * The few steps that both JSON formats share. Text comes from users and peers: every reader names what is wrong. */
#ifndef SCHEDULER_JSON_H
#define SCHEDULER_JSON_H

#include "braid/base.h"

#include <jansson.h>

/* Parses an object; refuses texts above 1 MiB + 1 KiB per node before anything is allocated. `what`: "plan". */
BRAID_NODISCARD enum braid_status json_parse(const char *text, size_t size, int n_nodes, const char *what,
                                             json_t **out);
/* Optional members: an absent (or null) one leaves *value alone. */
BRAID_NODISCARD enum braid_status json_get_int(const json_t *object, const char *key, int min, int max, int *value);
BRAID_NODISCARD enum braid_status json_get_bool(const json_t *object, const char *key, bool *value);
BRAID_NODISCARD enum braid_status json_get_size(const json_t *object, const char *key, size_t *value);
/* A time in units of `unit_ns` as ns. */
BRAID_NODISCARD enum braid_status json_get_ns(const json_t *object, const char *key, double unit_ns, int64_t max_ns,
                                              int64_t *ns);
BRAID_NODISCARD enum braid_status json_get_real(const json_t *object, const char *key, double min, double max,
                                                double *value);
/* Borrowed from the object; refuses control characters and anything longer than `max` bytes. */
BRAID_NODISCARD enum braid_status json_get_text(const json_t *object, const char *key, size_t max, const char **value);
/* An element that is an integer in [min, max]; `where` names it in the message. */
BRAID_NODISCARD enum braid_status json_int_in(const json_t *value, const char *where, size_t index, int min, int max,
                                              int *out);

/* Takes `value` (which may be NULL: out of memory). false: out of memory. */
bool json_put(json_t *object, const char *key, json_t *value);
bool json_push(json_t *array, json_t *value);
/* Prints with the 15 digits that survive a round trip; takes `root`, NULL included. */
BRAID_NODISCARD enum braid_status json_print(json_t *root, const char *what, char **text);

#endif
