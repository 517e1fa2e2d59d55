// The servers of the network tests, one program in a server's namespace: node server.js NAME
//   HTTP  8080  /        its name; /big?bytes=N: N bytes and their SHA-256 in x-sha256
//   TCP   7000  echo     sends back what it reads, closes after the client
//   UDP   7001  echo
//   TCP   7002  ticks    a line every 50 ms until the client leaves
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer as createHttp } from "node:http";
import { createServer as createTcp, type Server } from "node:net";

const [name = "server"] = process.argv.slice(2);
const tickMs = 50;

const http = createHttp((request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  response.setHeader("x-server", name);
  if (url.pathname !== "/big") {
    response.end(`${name}\n`);
    return;
  }
  const body = Buffer.alloc(Number(url.searchParams.get("bytes")));
  for (let i = 0; i < body.length; i++) body[i] = (i * 31 + (i >> 8)) & 255;
  response.setHeader("x-sha256", createHash("sha256").update(body).digest("hex"));
  response.end(body);
});
http.keepAliveTimeout = 60_000;

const echo = createTcp((socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
const ticks = createTcp((socket) => {
  const timer = setInterval(() => socket.write(`${name}\n`), tickMs);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => clearInterval(timer));
  socket.resume();
});
const udp = createSocket("udp6");
udp.on("message", (message, from) => udp.send(message, from.port, from.address));

const listening = (server: Server, port: number): Promise<void> =>
  new Promise((done) => server.listen(port, "::", done));
await listening(http, 8080);
await listening(echo, 7000);
await listening(ticks, 7002);
await new Promise<void>((done) => udp.bind(7001, "::", done));
process.stdout.write("ready\n");
