// What config_fuzz starts from: valid texts, and words that tend to break things.
export const configs = [
  `ports:
  - { name: client, driver: pcap, addresses: [192.0.2.1/24, "2001:db8::1/64"], mac: 02:00:00:00:00:01 }
  - { name: backends, driver: pcap, addresses: [10.1.0.1/24], in: a.pcap }
routes:
  - { to: 198.51.100.0/24, via: 192.0.2.254, port: client }
  - { to: "2001:db8:1::/48", via: "fe80::1", port: client }
neighbours:
  - { address: 192.0.2.254, mac: 02:00:00:00:01:fe, port: client }
node: { name: node-a, zone: zone-1, addresses: [192.0.2.1], podCIDRs: [10.1.0.0/24] }
manifests: [services.yaml]
`,
  `name: edge
ports:
  - name: tap
    driver: tap
  - { name: pod, driver: memif, socket: "@pod", role: client, zeroCopy: true, ringSize: 32, id: 7 }
  - name: eth0
    driver: af_xdp
    queues: 4
    mtu: 1500
    host: tap
    take: services
    mode: native
    copy: auto
    checksum: trust
    network: blue
    fault: { drop: 0.1 }
workers: { count: 2, pin: [0, 1], mode: polling }
frames: { count: 1024, size: 4096, hugePages: true }
flows:
  capacity: 1000
  capacity6: 500
  hash: crc32c
  seed: 000102030405060708090a0b0c0d0e0f
  timers: &t { icmp: 30s, tcpEstablished: 24h, udpReplied: 120 }
  zones: { north: { network: blue, guaranteed: 40, maximum: 60 }, default: { maximum: 50 } }
tcp: { pickup: false }
nat: { ports: 1024-29999 }
control: { socket: /tmp/x.sock }
icmp: { errorsPerSecond: 10 }
copy: { engine: model, queues: [wq0.0], core: 1, model: { latencyUs: 0.5, poison: true } }
neighbourTimers: { reachable: 30s, retry: 1s, tries: 3 }
`,
];

export const manifests = [
  `apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  clusterIPs: [10.96.0.10, "fd00:96::10"]
  ipFamilies: [IPv4, IPv6]
  internalTrafficPolicy: Local
  ports:
    - { name: http, port: 80, targetPort: web }
    - { name: dns, port: 53, protocol: UDP }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
endpoints:
  - { addresses: [10.1.0.11], nodeName: node-a, zone: zone-1, hints: { forZones: [{ name: zone-1 }] }, targetRef: { name: web-0 } }
  - { addresses: [10.1.0.12], conditions: { ready: false, serving: true, terminating: true } }
ports: [{ name: http, port: 8080 }, { name: dns, port: 53, protocol: UDP }]
`,
  `{"kind": "List", "apiVersion": "v1", "items": [
  {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"clusterIP": "10.96.0.11", "ports": [{"port": 1}]}},
  {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "a"}},
   "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"]}], "ports": [{"port": 1}]}]}
`,
];

export const words = [
  "null",
  "~",
  "true",
  "[]",
  "{}",
  "[[",
  "{{",
  "- ",
  ": ",
  "? ",
  "&a ",
  "*a",
  "<<: *t",
  "!!binary ",
  "!x ",
  "|",
  ">-",
  "---\n",
  "...\n",
  "%YAML 1.1\n",
  "#",
  "'",
  '"',
  "\\",
  "\t",
  "\r\n",
  "\u0000",
  "\ufeff",
  "\u2028",
  "0x10",
  "0o7",
  "1e999",
  ".nan",
  "-.inf",
  "-0",
  "__proto__: ",
  "constructor: ",
  "toString",
  "hasOwnProperty",
  "::",
  "fe80::1%eth0",
  "::ffff:1.2.3.4",
  "255.255.255.255",
  "0.0.0.0/0",
  "10.1.0.0/33",
  "None",
  "ExternalName",
  "EndpointSliceList",
  "\ud800",
];
