"""openai_tour.py BASE TOKEN TRAIN.jsonl: what a user of the official package does. Prints `the tour is done`."""
import sys
import time

import openai

base, token, train = sys.argv[1:]
client = openai.OpenAI(base_url=base, api_key=token)


def check(what, message):
    if not what:
        sys.exit(message)


def refused(kind, call, **how):
    try:
        call(**how)
    except kind as error:
        check(error.body["message"], "an error without words")
        return error
    sys.exit(f"{how} was not refused")


check([m.id for m in client.models.list()] == ["smollm2"], "the models")
with open(train, "rb") as f:
    file = client.files.create(file=f, purpose="fine-tune")
with open(train, "rb") as f:
    check(client.files.content(file.id).read() == f.read(), "the file's content")
check([f.id for f in client.files.list()] == [file.id], "the list of files")
job = client.fine_tuning.jobs.create(
    model="smollm2", training_file=file.id, suffix="tour", seed=3, metadata={"who": "me"},
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 2}}})
deadline = time.monotonic() + 100
while job.status not in ("succeeded", "failed", "cancelled") and time.monotonic() < deadline:
    time.sleep(0.2)
    job = client.fine_tuning.jobs.retrieve(job.id)
check(job.status == "succeeded", str(job))
check(job.method.supervised.hyperparameters.n_epochs == 2 and job.trained_tokens > 0, str(job))
events = list(client.fine_tuning.jobs.list_events(job.id, limit=3))
check(len(events) > 3 and events[-1].message == "The job is queued", str(events))
checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
check(checkpoints and checkpoints[0].step_number == 4 and checkpoints[0].metrics.train_loss > 0, str(checkpoints))
csv = client.files.content(job.result_files[0]).text.splitlines()
check(csv[0].startswith("step,train_loss") and client.files.retrieve(job.result_files[0]).bytes == len("\n".join(csv)) + 1, "the metrics")
steps = [event for event in events if event.type == "metrics"]
check([(e.data["step"], f"{e.data['train_loss']:.10g}") for e in reversed(steps)] == [(int(n), loss) for n, loss, *_ in (row.split(",") for row in csv[1:])],
      str(steps))
check(steps[-1].message.startswith("Step 1/4: training loss=") and len({e.id for e in events}) == len(events), str(steps))
check([j.id for j in client.fine_tuning.jobs.list(limit=1)] == [job.id], "the list of jobs")

question = [{"role": "user", "content": "What is the capital of France?"}]
plain = client.chat.completions.create(model="smollm2", messages=question, temperature=0, max_tokens=12, logprobs=True, top_logprobs=2)
choice = plain.choices[0]
check(choice.message.content == "The capital of France is Paris." and choice.finish_reason == "stop", str(plain))
first = choice.logprobs.content[0]
check(first.token == "The" and len(first.top_logprobs) == 2 and first.logprob == first.top_logprobs[0].logprob, str(first))
check(plain.usage.total_tokens == plain.usage.prompt_tokens + plain.usage.completion_tokens, str(plain.usage))
text, usage = "", None
for chunk in client.chat.completions.create(model="smollm2", messages=question, temperature=0, max_tokens=12, stream=True, stop="Paris",
                                            stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    text += chunk.choices[0].delta.content or "" if chunk.choices else ""
check(text == "The capital of France is " and usage.completion_tokens > 4, text)
tuned = client.chat.completions.create(model=job.fine_tuned_model, messages=question, temperature=0, max_tokens=12, logprobs=True)
check(tuned.choices[0].logprobs.content[0].logprob != first.logprob, "the adapter changes nothing")
refused(openai.NotFoundError, client.chat.completions.create, model="gpt-4o", messages=question)
refused(openai.BadRequestError, client.chat.completions.create, model="smollm2", messages=question, n=2)
refused(openai.BadRequestError, client.chat.completions.create, model="smollm2", messages=[{"role": "x", "content": "y"}])
refused(openai.AuthenticationError, openai.OpenAI(base_url=base, api_key="sk-wrong").models.list)
refused(openai.NotFoundError, client.embeddings.create, model="smollm2", input="x")
second = client.fine_tuning.jobs.create(model="smollm2", training_file=file.id, hyperparameters={"n_epochs": 1000})
check(client.fine_tuning.jobs.cancel(second.id).id == second.id, "a job is cancelled")
print("the tour is done")
