// The server's JSON interface: what it can do, jobs that are started, watched and cancelled, files of a job.

const ROOT = "/api/v1";

/** An error whose message is the server's one sentence. */
export class Refused extends Error {}

async function asked(path, options = {}) {
  let answer;
  try {
    answer = await fetch(ROOT + path, options);
  } catch {
    throw new Refused("The server does not answer: is `nuclex serve` still running?");
  }
  let body = null;
  try {
    body = await answer.json();
  } catch {
    throw new Refused(`The server answered ${answer.status} without a reason.`);
  }
  if (!answer.ok) throw new Refused(body.error ?? `The server answered ${answer.status}.`);
  return body;
}

export function about() {
  return asked("/about");
}

/** Start a job of this kind and return its token. */
export async function start(kind, body) {
  const headers = { "Content-Type": "application/json" };
  return (await asked(`/${kind}`, { method: "POST", headers, body: JSON.stringify(body) })).job;
}

export function cancel(job) {
  return asked(`/jobs/${job}`, { method: "DELETE" });
}

export async function files(job) {
  return (await asked(`/jobs/${job}/files`)).files;
}

export function fileAddress(job, name) {
  return `${ROOT}/jobs/${job}/files/${encodeURIComponent(name)}`;
}

/** Watch a job until it has ended; `seen` gets every answer. Returns the last one. */
export async function watch(job, seen) {
  let pause = 80;
  for (;;) {
    const answer = await asked(`/jobs/${job}`);
    seen(answer);
    if (!["queued", "running"].includes(answer.state)) return answer;
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(pause * 1.4, 700);
  }
}
