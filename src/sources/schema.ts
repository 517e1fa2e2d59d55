// Service and EndpointSlice as far as a service proxy reads them. Unknown keys are ignored, null is
// absent, absent keys get the API server's defaults.
import { z } from "zod";
import { field, textField } from "../config/fields.js";
import { kindOf } from "../config/yaml.js";
import type { IpText, L4Port } from "../kit/brand.js";
import { formatAddress, isLinkLocal, notUnicast, parseAddress } from "../kit/ip.js";
import { err, ok, type Result } from "../kit/result.js";
import { type HashFields, hashFields } from "../model/service.js";

/** Of EndpointSlice's validation (facts of the API: discovery/v1). */
export const endpointsPerSliceMax = 1000;
export const portsPerSliceMax = 20_000;

/** Absent and null are the same, and mean the default. */
const or = <S extends z.ZodType, const D>(schema: S, value: D) =>
  schema.nullish().transform((read): z.output<S> | D => read ?? value);

const text = textField<string>("text", ok);
const name = textField<string>("a name", (t) => (t === "" ? err("is required") : ok(t)));
const truth = field<boolean>((raw) =>
  typeof raw === "boolean" ? ok(raw) : err(`must be true or false, not ${kindOf(raw)}`),
);
const choice = <const T extends string>(...values: readonly T[]) =>
  field<T>((raw) =>
    values.includes(raw as T)
      ? ok(raw as T)
      : err(`must be one of ${values.join(", ")}, not ${kindOf(raw)}`),
  );

const isPort = (raw: unknown): raw is L4Port =>
  typeof raw === "number" && Number.isInteger(raw) && raw >= 1 && raw <= 65535;
const port = field<L4Port>((raw) =>
  isPort(raw) ? ok(raw) : err(`must be a port from 1 to 65535, not ${kindOf(raw)}`),
);
const protocol = choice("TCP", "UDP", "SCTP");

function station(raw: string): Result<IpText, string> {
  const address = parseAddress(raw);
  if (!address.ok) return address;
  const why = notUnicast(address.value) ?? (isLinkLocal(address.value) ? "is link-local" : null);
  return why ? err(`${raw} ${why}`) : ok(formatAddress(address.value.bytes, address.value.family));
}
const address = textField<IpText>("an IP address", station);
const clusterAddress = textField<IpText | "None" | "">("an IP address", (t) =>
  t === "" || t === "None" ? ok(t) : station(t),
);

/** The annotation of a Service by which it says what of a packet chooses its endpoint. */
export const hashFieldsKey = "nodeplane/hash-fields";

const metadata = z.object({
  name,
  namespace: or(text, "default"),
  labels: or(z.record(z.string(), or(text, "")), {} as Record<string, string>),
  annotations: or(
    z.object({ [hashFieldsKey]: or(choice(...hashFields), undefined) }),
    {} as { [hashFieldsKey]?: HashFields | undefined },
  ),
});

export const serviceSchema = z.object({
  metadata,
  spec: z.object({
    type: or(choice("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"), "ClusterIP"),
    clusterIP: or(clusterAddress, null),
    clusterIPs: or(z.array(clusterAddress), null),
    ipFamilies: or(z.array(choice("IPv4", "IPv6")), null),
    ports: or(
      z.array(
        z.object({
          name: or(text, ""),
          protocol: or(protocol, "TCP"),
          port,
        }),
      ),
      [],
    ),
    internalTrafficPolicy: or(choice("Cluster", "Local"), "Cluster"),
    sessionAffinity: or(choice("None", "ClientIP"), "None"),
    externalIPs: or(z.array(text), []),
  }),
});
export type ServiceObject = z.output<typeof serviceSchema>;

const hint = z.object({ name });
const endpoint = z.object({
  // FQDN slices are skipped by their type; any text will do until then.
  addresses: z.array(text),
  conditions: or(
    z.object({
      ready: or(truth, true),
      serving: or(truth, true),
      terminating: or(truth, false),
    }),
    { ready: true, serving: true, terminating: false },
  ),
  nodeName: or(text, null),
  zone: or(text, null),
  hints: or(z.object({ forZones: or(z.array(hint), []), forNodes: or(z.array(hint), []) }), {
    forZones: [],
    forNodes: [],
  }),
  targetRef: or(z.object({ name: or(text, null) }), { name: null }),
});

export const sliceSchema = z.object({
  metadata,
  addressType: choice("IPv4", "IPv6", "FQDN"),
  endpoints: or(z.array(endpoint), []),
  ports: or(
    z.array(
      z.object({
        name: or(text, ""),
        protocol: or(protocol, "TCP"),
        // Zero and absent mean any port, which no proxy serves.
        port: or(
          field<number>((raw) =>
            raw === 0 || isPort(raw)
              ? ok(raw)
              : err(`must be a port from 1 to 65535, not ${kindOf(raw)}`),
          ),
          null,
        ),
      }),
    ),
    [],
  ),
});
export type SliceObject = z.output<typeof sliceSchema>;

/** One endpoint address of a slice, strictly. */
export const readStation = (raw: string): Result<IpText, string> => {
  const read = address.safeParse(raw);
  return read.success ? ok(read.data) : err(read.error.issues[0]?.message ?? "is no address");
};
