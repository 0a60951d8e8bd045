"""Which verb hangs where on the command line."""

from __future__ import annotations

from cyclopts import App

from nuclex.cli import comparing, giving, making, using


def register(app: App) -> None:
    """Hang every verb on the application."""
    data = App(name="data", help="The catalogue of public data sets.")
    corpus = App(name="corpus", help="Build and describe corpora.")
    tokenizer = App(name="tokenizer", help="Train tokenizers.")
    for part in (data, corpus, tokenizer):
        app.command(part)
    for parent, name, verb in (
        (app, "quickstart", making.quickstart),
        (app, "doctor", making.doctor),
        (data, "list", making.data_list),
        (data, "fetch", making.data_fetch),
        (corpus, "build", making.corpus_build),
        (corpus, "info", making.corpus_info),
        (tokenizer, "train", making.tokenizer_train),
        (app, "plan", making.plan),
        (app, "pretrain", making.pretrain),
        (app, "evaluate", using.evaluate),
        (app, "finetune", making.finetune),
        (app, "search", comparing.search),
        (app, "benchmark", comparing.benchmark),
        (app, "predict", using.predict),
        (app, "fold", using.fold),
        (app, "embed", using.embed),
        (app, "score", using.score),
        (app, "generate", using.generate),
        (app, "judge", comparing.judge),
        (app, "export", using.export),
        (app, "convert", using.convert),
        (app, "publish", giving.publish),
    ):
        parent.command(verb, name=name)
