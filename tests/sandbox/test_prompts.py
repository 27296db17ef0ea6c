"""Prompts that frameworks write: passages to answer from, choices, agents, questions to reword."""

import json
import re
from typing import Any

import httpx
import pytest

from qaip_sandbox.passages import Passages
from qaip_sandbox.protocols._tasks import Task, task_of, task_of_text

REFUND = "A refund reaches the buyer's account in 5 working days."
LABEL = "Print the label, e.g. at a post office."
PAID = "Every employee has 28 days of paid leave per year."
MOON = "A parcel to the moon takes 99 days."
ASKED = "How long does a parcel to the moon take?"
RULE = "-" * 21
CONTEXT = (
    f"Context information is below.\n{RULE}\n%s\n{RULE}\n"
    "Given the context information and not prior knowledge, answer the query.\n"
    "Query: %s\nAnswer: "
)
SOURCES = (
    "Answer from the provided sources alone and cite their numbers. For example:\n"
    "Source 1:\nThe sky is red.\nQuery: What is red?\nAnswer: The sky [1].\n"
    "Your turn. Below are several numbered sources of information:\n------\n%s\n------\n"
    "Query: %s\nAnswer: "
)
REFINE = "New Context: %s\nQuery: %s\nOriginal Answer: %s\nNew Answer: "
CHOICES = (
    "Some choices are given below, in a numbered list (1 to 2).\n"
    f"{RULE}\n(1) Returns and refunds\n\n(2) Leave of staff\n{RULE}\n"
    "Using only the choices above, return %s most relevant to the question: '%s'\n"
)
STEPS = (
    "Question: the question\nThought: what to do\nAction: one of [prices, handbook]\n"
    "Action Input: the input\nObservation: the result\nThought: I know the final answer\n"
    "Final Answer: the answer\n\nBegin!\n\nQuestion: %s\nThought:"
)
AGENT = (
    "You have these tools:\nprices(query: str) - Prices of lamps\n"
    "handbook(query: str) - Rules of leave for employees\n\nUse the following format:\n\n" + STEPS
)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def _qaip(client: httpx.Client, messages: list[Any]) -> tuple[str, list[str]]:
    body = client.post("/completions", json={"messages": messages}).json()
    (choice,) = body["choices"]
    return choice["message"]["content"], [source["text"] for source in choice["citations"]]


def _perplexity(client: httpx.Client, messages: list[Any]) -> tuple[str, list[str]]:
    body = client.post("/chat/completions", json={"model": "sonar", "messages": messages}).json()
    sources = [source["snippet"] for source in body["search_results"]]
    return body["choices"][0]["message"]["content"], sources


def _dify(client: httpx.Client, messages: list[Any]) -> tuple[str, list[str]]:
    text = messages[0]["content"]
    if len(messages) > 1:
        lines = [f"{message['role'].title()}: {message['content']}" for message in messages]
        text = "\n".join([*lines, "Assistant:"])
    body = client.post("/completion-messages", json={"inputs": {"query": text}, "user": "u"}).json()
    sources = [source["content"] for source in body["metadata"]["retriever_resources"]]
    return body["answer"], sources


def _bare(client: httpx.Client, messages: list[Any]) -> tuple[str, list[str]]:
    body = client.post("/chat/completions", json={"model": "m", "messages": messages}).json()
    return body["choices"][0]["message"]["content"], []


ASK = {"qaip": _qaip, "perplexity": _perplexity, "dify": _dify, "fireworks": _bare, "pais": _bare}
CITING = ("qaip", "perplexity", "dify")
each = pytest.mark.parametrize("service", ASK)
each_citing = pytest.mark.parametrize("service", CITING)


@pytest.fixture
def ask(service: str, request: pytest.FixtureRequest) -> Any:
    client = request.getfixturevalue(service)
    return lambda *messages: ASK[service](client, list(messages))


@each
def test_passages_of_a_prompt_answer_it(ask: Any) -> None:
    text, sources = ask(user(CONTEXT % (f"The moon is grey.\n\n{MOON}", ASKED)))
    assert text.startswith(MOON)
    assert "[1]" not in text
    assert sources == []


@each
def test_passages_of_a_system_message_answer_it(ask: Any) -> None:
    orders = f"Use the context information below to assist the user.\n{RULE}\n{MOON}\n{RULE}\n"
    assert ask(system(orders), user(ASKED))[0] == MOON


@each_citing
def test_the_sources_of_passages_are_where_they_come_from(service: str, ask: Any) -> None:
    question = "How long does a refund take?"
    _, (passage, *_) = ask(user(question))
    text, sources = ask(user(CONTEXT % (f"file_type: md\n\n{passage}", question)))
    assert text.startswith(f"{REFUND}[1]")
    assert sources == [passage]


@each
def test_passages_that_say_nothing_leave_the_question_to_the_documents(ask: Any) -> None:
    text, _ = ask(user(CONTEXT % ("The moon is grey.", "How long does a refund take?")))
    assert text.startswith(REFUND)


@each
def test_numbered_sources_are_cited_by_their_numbers(ask: Any) -> None:
    text, _ = ask(user(SOURCES % (f"Source 4:\nIt is grey.\n\nSource 5:\n{MOON}\n", ASKED)))
    assert text == f"{MOON}[5]"


@each_citing
def test_a_number_of_a_source_finds_its_citation(ask: Any) -> None:
    text, sources = ask(
        user(SOURCES % (f"Source 1:\n{PAID}\nSource 2:\n{REFUND}\n", "When is a refund there?"))
    )
    assert text == f"{REFUND}[2]"
    assert [PAID in sources[0], REFUND in sources[1]] == [True, True]


@each
def test_an_earlier_answer_outlives_a_context_that_adds_nothing(ask: Any) -> None:
    assert ask(user(REFINE % ("Lamps are grey.", ASKED, f"{MOON}[1]")))[0] == MOON


def test_an_earlier_answer_is_added_to(pais: httpx.Client) -> None:
    more = "To Mars a parcel takes 400 days."
    question = "How long does a parcel to the moon take, and how long to Mars?"
    text, _ = _bare(pais, [user(REFINE % (more, question, MOON))])
    assert sorted(text.split(". ")) == sorted(f"{MOON} {more}".split(". "))


def test_an_earlier_answer_keeps_the_numbers_of_its_sources(pais: httpx.Client) -> None:
    text = SOURCES.replace("Below", "We have provided an existing answer: %sBelow", 1)
    prompt = text % (f"{MOON}[1]", "Source 2:\nIt is grey.\n", ASKED)
    assert _bare(pais, [user(prompt)])[0] == f"{MOON}[1]"


def test_what_frameworks_print_above_a_passage_is_no_answer(pais: httpx.Client) -> None:
    passage = f"title: How long does a parcel to the moon take\nurl: https://x.example\n\n{MOON}"
    assert _bare(pais, [user(CONTEXT % (passage, ASKED))])[0] == MOON


def test_a_row_of_a_table_says_less_than_a_sentence(pais: httpx.Client) -> None:
    passage = f"| A parcel to the moon | 99 days |\n\n{MOON}"
    assert _bare(pais, [user(CONTEXT % (passage, ASKED))])[0] == MOON


def test_a_question_among_the_passages_is_no_answer(pais: httpx.Client) -> None:
    passage = f"Sub question: {ASKED}\nResponse: {MOON}[1]"
    assert _bare(pais, [user(CONTEXT % (passage, ASKED))])[0] == MOON


@pytest.mark.parametrize(
    "passages",
    [
        [MOON, "It's grey."],
        f"[Document(metadata={{'title': 'x'}}, page_content={MOON!r}), Document(page_content='y')]",
        rf"['{MOON}', '\\x']\n\n{MOON}\n\n[]",
    ],
)
def test_passages_may_be_a_list_as_python_writes_it(passages: Any, pais: httpx.Client) -> None:
    assert _bare(pais, [user(CONTEXT % (passages, ASKED))])[0] == MOON


def test_json_is_made_from_the_passages(qaip: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}}
    prompt = f"{CONTEXT % (MOON, ASKED)}\n\nReply in JSON of this schema:\n{json.dumps(schema)}"
    assert json.loads(_qaip(qaip, [user(prompt)])[0]) == {"days": 99}


@pytest.mark.parametrize(
    "prompt",
    [
        f"Use the following pieces of context to answer.\n\n{MOON}\n\nQuestion: {ASKED}\nAnswer:",
        f"Answer only from the following context:\n{MOON}\n\nQuestion: {ASKED}\n",
        f"Use the retrieved context below.\nQuestion: {ASKED} \nContext: {MOON} \nAnswer:",
        f"Answer from these passages.\nQUESTION: {ASKED}\n======\n{MOON}\n======\nFINAL ANSWER:",
        f"Here is information.\n______\n{MOON}\n______\n**Question:** {ASKED}\n\nBe brief.",
    ],
)
def test_templates_are_known_by_what_they_share(prompt: str) -> None:
    assert task_of_text(prompt) == Task(ASKED, passages=Passages(MOON))


def test_a_context_ends_where_instructions_begin() -> None:
    orders = f"Here are the relevant documents:\n\n{MOON}\n\nInstruction: Be brief."
    refined = orders.replace("Instruction", f"Existing Answer:\n{PAID}\n\nInstruction")
    for text, earlier in ((orders, ""), (refined, PAID)):
        task = task_of([system(text), user(ASKED)])
        assert task == Task(ASKED, passages=Passages(MOON, earlier))


@pytest.mark.parametrize(
    "prompt",
    [
        "What is in the documents below?",
        "Compare the following sources: the handbook and the price list.",
        "Which of these documents speaks of leave?\nI need the passage.",
        "User: a name on a form",
        "Is a standalone question allowed?",
        "Should I rephrase the returns policy?",
        "Which action: refund or return?",
        "Choices: (1) is not one.",
    ],
)
def test_a_plain_question_stays_as_it_is(prompt: str) -> None:
    assert task_of_text(prompt) == Task(prompt)
    assert task_of([system("You answer from documents."), user(prompt)]) == Task(prompt)


def test_a_labelled_question_is_asked_without_its_instructions() -> None:
    assert task_of_text(f"You know lamps.\nQuestion: {ASKED}\nAnswer: Step by step.") == Task(ASKED)


def test_a_written_out_conversation_is_one() -> None:
    turns = f"system: {MOON}\nuser: Given the following conversation\nUser: x\nassistant: \n"
    assert task_of_text(turns) == Task("Given the following conversation\nUser: x")


@each
def test_a_choice_shares_words_with_the_question(ask: Any) -> None:
    text, sources = ask(user(CHOICES % ("the choice that is", "How much leave do I have?")))
    assert json.loads(text) == [{"choice": 2, "reason": "Leave of staff"}]
    assert sources == []


@pytest.mark.parametrize(
    ("wanted", "question", "found"),
    [
        ("the top choices (no more than 2)", "May I take leave after refunds?", [1, 2]),
        ("the top choices (no more than 1)", "May I take leave after refunds?", [1]),
        ("the top choices (no more than 2)", "May I take leave?", [2]),
        ("the one choice", "Who built the lighthouse?", [1]),
    ],
)
def test_as_many_choices_are_made_as_fit(
    wanted: str, question: str, found: list[int], pais: httpx.Client
) -> None:
    text, _ = _bare(pais, [user(CHOICES % (wanted, question))])
    assert [choice["choice"] for choice in json.loads(text)] == found


def test_a_choice_is_made_in_the_form_that_is_wanted(
    pais: httpx.Client, fireworks: httpx.Client
) -> None:
    prompt = CHOICES % ("the choice that is", "How much leave do I have?")
    assert _bare(pais, [user(f"{prompt}Say 'ANSWER: <number>'.")])[0] == "ANSWER: 2"
    properties = {"index": {"type": "integer"}, "reason": {"type": "string"}}
    function = {"name": "pick", "parameters": {"type": "object", "properties": properties}}
    tools = {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    body = {"model": "m", "messages": [user(prompt)], **tools}
    (choice,) = fireworks.post("/chat/completions", json=body).json()["choices"]
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments)["index"] == 2


@pytest.mark.parametrize(
    "messages",
    [
        [user(f"Rephrase the input.\n\nFollow Up Input: {ASKED}\nStandalone question:")],
        [
            user(
                f"Rewrite the message.\n<Chat History>\nuser: x\n\n<Follow Up Message>\n{ASKED}\n\n"
            )
        ],
        [user(f"Generate 3 different versions of it. Original question: {ASKED}")],
        [user(f"It generates multiple search queries.\nQuery: {ASKED}\nQueries:\n")],
        [system("Formulate a standalone question."), user("Hello"), user(ASKED)],
    ],
)
def test_a_question_to_reword_comes_back_as_it_is(messages: list[Any], qaip: httpx.Client) -> None:
    assert _qaip(qaip, messages) == (ASKED, [])


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (
            "What do lamps cost, and how much leave have I?",
            [("What do lamps cost", "prices"), ("how much leave have I?", "handbook")],
        ),
        ("Who is it?", [("Who is it?", "prices"), ("Who is it?", "handbook")]),
    ],
)
def test_a_question_is_parted_among_tools(
    question: str, found: list[tuple[str, str]], pais: httpx.Client
) -> None:
    tools = {"prices": "What lamps cost", "handbook": 'Says who has "leave"'}
    prompt = (
        f'Write sub-questions.\n{{"a": "b"}}\n{json.dumps(tools)}\n<User Question>\n{question}\n'
    )
    text, _ = _bare(pais, [user(prompt)])
    items = json.loads(text.removeprefix("```json\n").removesuffix("\n```"))["items"]
    assert [(item["sub_question"], item["tool_name"]) for item in items] == found


LEAVE = "How much leave do employees have?"


@each
def test_an_agent_takes_the_tool_that_shares_words_with_the_question(ask: Any) -> None:
    text, _ = ask(user(AGENT % LEAVE))
    assert text.splitlines()[1:] == ["Action: handbook", f"Action Input: {LEAVE}"]


@each
def test_an_agent_answers_from_what_a_tool_said(ask: Any) -> None:
    steps = f" I look.\nAction: handbook\nAction Input: x\nObservation: {MOON} {PAID}\nThought:"
    text, _ = ask(user((AGENT % LEAVE) + steps))
    assert text.splitlines()[1].removesuffix("[1]") == f"Final Answer: {PAID}"


def test_an_agent_repeats_what_answers_without_a_word_of_the_question(pais: httpx.Client) -> None:
    text, _ = _bare(pais, [user((AGENT % "What is 40 + 2?") + " x\nObservation: 42\nThought:")])
    assert text.endswith("Final Answer: 42")


def test_an_agent_without_a_fitting_tool_answers_from_the_documents(pais: httpx.Client) -> None:
    text, _ = _bare(pais, [user(AGENT % "How long does a refund take?")])
    assert text.startswith(f"I can answer without using any more tools.\nFinal Answer: {REFUND}")


HEADER = (
    "> Tool Name: handbook\nTool Description: Leave of employees\n"
    'Tool Args: {"properties": {"about": {"type": "string"}}, "type": "object"}\n\n'
    "## Output Format\nThought: why\nAction: tool name (one of handbook) if using one.\n"
    "Action Input: JSON\nObservation: result\nAnswer: your answer\n"
)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"broken', LEAVE),
        ('{"properties": {"a": false}, "required": ["a"]}', f'{{"input":"{LEAVE}"}}'),
    ],
)
def test_a_tool_without_a_usable_schema_gets_the_question(arguments: str, given: str) -> None:
    header = re.sub(r"Tool Args: .*", f"Tool Args: {arguments}", HEADER)
    task = task_of([system(header), user(LEAVE)])
    assert task.said is not None
    assert task.said.partition("Action Input: ")[2] == given


def test_without_a_question_an_agent_has_nothing_to_do() -> None:
    task = task_of([system(HEADER), user("Observation: x")])
    assert (task.question, task.said, task.passages) == ("", None, None)


@pytest.mark.parametrize("service", ["qaip", "dify", "pais"])
def test_an_agent_may_be_told_its_format_in_a_system_message(ask: Any) -> None:
    messages = [system(HEADER), user(LEAVE)]
    text, _ = ask(*messages)
    assert text.splitlines()[:2] == [
        "Thought: I need to use a tool to help me answer the question.",
        "Action: handbook",
    ]
    assert json.loads(text.partition("Action Input: ")[2]) == {"about": LEAVE}
    done = [{"role": "assistant", "content": text}, user(f"Observation: {PAID}")]
    text, _ = ask(*messages, *done)
    assert text.partition("\n")[2].removesuffix("[1]") == f"Answer: {PAID}"
