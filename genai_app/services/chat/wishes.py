"""The words that ask the model for a shorter or a longer answer. They go to the model with the one
call: no message holds them, and no later prompt repeats them."""

from genai_app.models import Variant
from genai_app.services.generation.seam import language_of

_WISHES = {
    ("ru", Variant.SHORTER): "Ответь как можно короче: только суть, без вступления и повторов.",
    ("ru", Variant.LONGER): "Ответь подробнее: с объяснениями, деталями и примерами.",
    ("en", Variant.SHORTER): "Answer as briefly as you can: the essence alone, no introduction.",
    ("en", Variant.LONGER): "Answer in more detail: with explanations, particulars and examples.",
}


def with_wish(question: str, variant: Variant | None) -> str:
    """Returns the question as the model is asked it, in the question's own language."""
    if variant is None:
        return question
    return f"{question}\n\n{_WISHES[language_of(question), variant]}"
