// The services that are published now.
import { formatEndpoint } from "../kit/ip.js";
import type { Service } from "../model/service.js";

export const serviceColumns = ["SERVICE", "PROTOCOL", "ADDRESS", "VERDICT", "ENDPOINTS"];

export function serviceCells(s: Service): string[] {
  const endpoints = s.endpoints.map(
    (e) => formatEndpoint(e.address, e.port) + (e.choosable ? "" : "*"),
  );
  const name = `${s.namespace}/${s.name}${s.portName ? `:${s.portName}` : ""}`;
  return [
    name,
    s.protocol,
    formatEndpoint(s.address, s.port),
    s.verdict,
    endpoints.join(" ") || "-",
  ];
}
