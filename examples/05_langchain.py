"""A chain of LangChain's, with a model of the server's at its end.

pip install langchain-openai, then python examples/05_langchain.py
"""

import os

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

URL = os.environ.get("HOSTLER_URL", "http://127.0.0.1:8000")
API_KEY = os.environ.get("HOSTLER_API_KEY", "any")
MODEL = os.environ.get("MODEL", "smollm2-135m")


def main() -> None:
    model = ChatOpenAI(base_url=f"{URL}/v1", api_key=API_KEY, model=MODEL, temperature=0, max_tokens=40)
    prompt = ChatPromptTemplate.from_messages([("system", "Answer in one sentence."), ("human", "{question}")])
    chain = prompt | model | StrOutputParser()
    print(chain.invoke({"question": "What is the capital of France?"}))
    for answer in chain.batch([{"question": f"What is the capital of {country}?"} for country in ("Italy", "Spain")]):
        print(answer)


if __name__ == "__main__":
    main()
