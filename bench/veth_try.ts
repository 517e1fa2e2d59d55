import { Subject, type SubjectName } from "./veth_subjects.js";
const [names = "", services = "1", flows = "1000", rounds="3"] = process.argv.slice(2);
let i = 0;
const subjects: Subject[] = [];
try {
  for (const name of names.split(",")) {
    const s = new Subject(name as SubjectName, Number(services), i++);
    subjects.push(s);
    await s.open();
  }
  for (let r = 0; r < Number(rounds); r++)
  for (const s of subjects) {
    const a = await s.sample({ flows: Number(flows), warmMs: 150, sampleMs: 300 });
    console.log(s.name.padEnd(15), "sent", (a.sent / a.seconds / 1e6).toFixed(3), "received", (a.received / a.seconds / 1e6).toFixed(3), "Mpps; node", (a.cpuNs / a.received).toFixed(0), "ns/packet, core", (a.cpuNs / a.seconds / 1e9).toFixed(2), "per cpu-s", (a.received / a.cpuNs*1e3).toFixed(3), "machine", (a.machineNs / a.seconds / 1e9).toFixed(2));
  }
} finally {
  for (const s of subjects) await s.close();
}
