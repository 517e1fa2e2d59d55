// The least that forwards: every packet leaves by the interface TO, untouched.
#include <linux/bpf.h>
//
#include <bpf/bpf_helpers.h>

SEC("xdp")
int redirect(struct xdp_md* context) {
  (void)context;
  return bpf_redirect(TO, 0);
}

char kLicense[] SEC("license") = "Dual BSD/GPL";
