/* SPDX-License-Identifier: Apache-2.0
 * Kernels by measurement. */
#include "exec/choices.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum braid_status braid_choices_create(uint32_t cpu_flags, struct braid_choices **out) {
  struct braid_choices *choices = braid_malloc(sizeof *choices);
  json_t *kernel = json_object();
  if (!choices || !kernel) {
    braid_free(choices);
    json_decref(kernel);
    return braid_fail(BRAID_ENOMEM, "no memory for the choice of kernels");
  }
  *choices = (struct braid_choices){cpu_flags, kernel};
  *out = choices;
  return BRAID_OK;
}

void braid_choices_destroy(struct braid_choices **choices) {
  if (!*choices) return;
  json_decref((*choices)->kernel);
  braid_free(*choices);
  *choices = NULL;
}

int braid_choices_count(const struct braid_choices *choices) { return (int)json_object_size(choices->kernel); }

/* ------------------------------------------------------------------------------------------------------ key */

struct text {
  char *at;
  size_t left;
};

static void put(struct text *t, const char *format, ...) BRAID_PRINTF(2, 3);
static void put(struct text *t, const char *format, ...) {
  va_list list;
  va_start(list, format);
  int n = vsnprintf(t->at, t->left, format, list);
  va_end(list);
  size_t written = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left - 1;
  t->at += written;
  t->left -= written;
}

static void put_tensor(struct text *t, const struct braid_tensor *tensor) {
  char shape[64];
  put(t, " %s %s", braid_dtype_name(tensor->dtype), braid_shape_text(&tensor->shape, shape, sizeof shape));
}

static bool is_given(const struct braid_kernel_args *args, int k) { return k < args->n_in && args->present[k]; }

bool exec_choice_key(const struct braid_kernel_args *args, int slices, char key[EXEC_CHOICE_CHARS]) {
  bool bytes = args->op == BRAID_OP_QLINEAR_CONV;
  if (args->op != BRAID_OP_CONV && !bytes) return false;
  const struct braid_conv_attrs *a = &args->attrs.conv; /* braid_qconv_attrs begins with them */
  struct text t = {key, EXEC_CHOICE_CHARS};
  put(&t, "%s", braid_op_name(args->op));
  put_tensor(&t, &args->in[0]);
  put(&t, " *");
  put_tensor(&t, &args->in[1]);
  put(&t, " =");
  put_tensor(&t, &args->out);
  if (a->stride[0] != 1 || a->stride[1] != 1) put(&t, " stride %d,%d", a->stride[0], a->stride[1]);
  if (a->dilation[0] != 1 || a->dilation[1] != 1) put(&t, " dilation %d,%d", a->dilation[0], a->dilation[1]);
  if (a->pad[0] | a->pad[1] | a->pad[2] | a->pad[3])
    put(&t, " pad %d,%d,%d,%d", a->pad[0], a->pad[1], a->pad[2], a->pad[3]);
  if (a->group != 1) put(&t, " group %d", a->group);
  if (!args->constant[1]) put(&t, " variable");
  if (bytes && args->attrs.qconv.w_zero) put(&t, " zero");
  if (is_given(args, 2)) put(&t, " bias");
  if (is_given(args, bytes ? 4 : 3)) put(&t, " residual");
  if (args->act.op != BRAID_ACT_NONE) put(&t, " %s", braid_op_name(args->act.op));
  if (slices > 1) put(&t, " slices %d", slices);
  return true;
}

/* ---------------------------------------------------------------------------------------------------- choice */

bool exec_choice_fits(const struct braid_kernel *kernel, const struct braid_kernel_args *args, uint32_t flags,
                      int slices) {
  return (slices <= 1 || kernel->sliceable) && braid_kernel_can(kernel, args, flags);
}

const struct braid_kernel *exec_choices_find(const struct braid_choices *choices, const struct braid_kernel_args *args,
                                             uint32_t flags, int slices) {
  char key[EXEC_CHOICE_CHARS];
  int n;
  if (!choices || flags == 0 || !exec_choice_key(args, slices, key)) return NULL; /* 0: the reference was asked for */
  const char *name = json_string_value(json_object_get(choices->kernel, key));
  const struct braid_kernel *const *table = braid_kernels(&n);
  for (int i = 0; name && i < n; i++)
    if (strcmp(table[i]->name, name) == 0 && exec_choice_fits(table[i], args, flags, slices)) return table[i];
  if (name) braid_log(BRAID_LOG_DEBUG, "%s: the measured kernel %s cannot compute it", key, name);
  return NULL;
}

enum braid_status exec_choices_set(struct braid_choices *choices, const char *key, const struct braid_kernel *kernel) {
  if (!kernel) {
    json_object_del(choices->kernel, key);
    return BRAID_OK;
  }
  if (json_object_set_new(choices->kernel, key, json_string(kernel->name)) == 0) return BRAID_OK;
  return braid_fail(BRAID_ENOMEM, "no memory for the choice of kernels");
}
