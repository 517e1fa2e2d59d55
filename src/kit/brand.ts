// What must not mix, cannot mix: a number that was checked carries its meaning in its type.
declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A TCP, UDP or SCTP port, 1 to 65535, host order. */
export type L4Port = Brand<number, "L4Port">;
/** Index of a port of the dataplane (an interface), as in PortRow.id. */
export type PortId = Brand<number, "PortId">;
/** Stable over publishes, as in ServiceRow.id. */
export type ServiceId = Brand<number, "ServiceId">;
/** Stable over publishes, as in EndpointRow.id. */
export type EndpointId = Brand<number, "EndpointId">;
/** An address in canonical text: RFC 5952 for IPv6, dotted decimal for IPv4. */
export type IpText = Brand<string, "IpText">;
/** `address/length`, the address canonical. */
export type PrefixText = Brand<string, "PrefixText">;
/** Six pairs of lower-case hex digits with colons. */
export type MacText = Brand<string, "MacText">;
