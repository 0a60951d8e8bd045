// One job at a time: started, watched with its progress, cancelled; results are kept, so that going back shows them.
import * as api from "./api.js";
import { byId } from "./dom.js";
import { count, span } from "./numbers.js";

const KEPT = 12;
const kept = new Map();
let running = null; // {serial, job} of the job that is under way
let serial = 0;

function body({ settings, fasta }) {
  const asked = { fasta };
  if (settings.do !== "compare") asked.bundle = settings.bundle;
  if (["mutate", "codons"].includes(settings.do)) asked.sequence = Number(settings.record) - 1;
  if (settings.do === "codons") asked.code = Number(settings.code);
  return asked;
}

/** What was answered to the same question before, or undefined. */
export function remembered(question) {
  return kept.get(JSON.stringify([question.settings.do, body(question)]));
}

function progress(answer) {
  const bar = byId("bar");
  if (answer.total && answer.state === "running") {
    bar.max = answer.total;
    bar.value = answer.done;
  } else {
    bar.removeAttribute("value");
  }
  let text = "Starting …";
  if (answer.state === "queued") {
    text = answer.position ? `Waiting: ${count(answer.position)} before this one` : "Waiting for the model";
  } else if (answer.total) {
    const left = answer.seconds_left;
    text = `${count(answer.done)} of ${count(answer.total)} done${left === null ? "" : `, about ${span(left)} left`}`;
  }
  byId("progress-text").textContent = text;
}

/**
 * Ask the server. Resolves to {job, kind, result}, or to null where a later question or the cancel button came first;
 * throws api.Refused with the server's sentence.
 */
export async function ask(question) {
  await stop();
  serial += 1;
  const mine = serial;
  running = { serial: mine, job: null };
  byId("progress").hidden = false;
  progress({ state: "starting" });
  try {
    const kind = question.settings.do;
    const asked = body(question);
    const job = await api.start(kind, asked);
    if (mine !== serial) { api.cancel(job).catch(() => {}); return null; }
    running.job = job;
    const answer = await api.watch(job, (state) => { if (mine === serial) progress(state); });
    if (mine !== serial || answer.state === "cancelled") return null;
    if (answer.state === "failed") throw new api.Refused(answer.error);
    const found = { job, kind, result: answer.result };
    kept.set(JSON.stringify([kind, asked]), found);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return found;
  } catch (error) {
    if (mine !== serial) return null;
    throw error;
  } finally {
    if (mine === serial) {
      running = null;
      byId("progress").hidden = true;
    }
  }
}

/** Cancel what is under way; true if there was something. */
export async function stop() {
  if (running === null) return false;
  const { job } = running;
  serial += 1;
  running = null;
  byId("progress").hidden = true;
  if (job !== null) await api.cancel(job).catch(() => {}); // it may have ended by itself just now
  return true;
}
