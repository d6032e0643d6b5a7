/*
 * The search page: ranks the sections in searchindex.js by what was asked, without a server.
 * MiniSearch 7.2.0 lies beside it as its package has it, in dist/umd.
 */
"use strict";

(() => {
  const MOST = 20;
  const EXCERPT = 240;
  const WORD = /[\p{L}\p{N}]+(?:[-_'’][\p{L}\p{N}]+)*/gu;

  // What readers write, and what means the same.
  const SAME = [
    [/\bhow many\b/gi, "number"],
    [/\bdata ?sets?\b/gi, "data"],
    [/\bk means\b/gi, "k-means"],
  ];

  // Words that make a question, and do not say what it is about; Sphinx has a list of others.
  const QUESTION =
    "about am an any between can could did do does from get has have how i its me my our please " +
    "should so than them too us we what when where which who why would you your";

  const silent = new Set([...stopwords, ...QUESTION.split(" ")]);
  const stemmer = new Stemmer();
  const stems = new Map();

  /* What a word has in common with its plural and the like; nothing if it says nothing. */
  const stem = (word) => {
    const plain = word.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    if (!stems.has(plain)) stems.set(plain, silent.has(plain) ? "" : stemmer.stemWord(plain));
    return stems.get(plain);
  };

  /*
   * The words of a text. One with a hyphen is its parts and also the whole, for a mini-batch is a
   * minibatch to some; only the whole if it begins with a letter, as k-means does.
   */
  const words = (text) => {
    const plain = SAME.reduce((changed, [pattern, word]) => changed.replace(pattern, word), text);
    return (plain.match(WORD) ?? []).flatMap((word) => {
      const parts = word.split(/[-_'’]/);
      if (parts.length === 1) return parts;
      return parts[0].length === 1 ? [parts.join("")] : [...parts, parts.join("")];
    });
  };

  const stemsOf = (text) => words(text).map(stem).filter(Boolean);

  /* The sections that match a query, the best first. */
  const find = (query) => {
    const index = new MiniSearch({
      fields: ["title", "page", "text"],
      tokenize: words,
      processTerm: stem,
      searchOptions: {
        boost: { title: 2 },
        prefix: (word) => word.length > 2,
        // For other spellings, such as American ones, and for slips.
        fuzzy: (word) => word.length > 3 && 0.2,
      },
    });
    index.addAll(sections.map((section, id) => ({ id, ...section })));
    // More words of the query are better than fewer, and a title of nothing else is best.
    const fit = ({ id, queryTerms, terms }) => {
      const title = stemsOf(sections[id].title);
      const named = title.filter((word) => terms.includes(word)).length / (title.length || 1);
      return queryTerms.length * (1 + named);
    };
    return index
      .search(query)
      .map((found) => ({ ...found, score: found.score * fit(found) }))
      .sort((one, other) => other.score - one.score);
  };

  /* Part of a text, from shortly before the first of some words on, with these words marked. */
  const excerpt = (text, terms) => {
    const hits = [...text.matchAll(WORD)].filter(([word]) =>
      words(word).some((part) => terms.includes(stem(part))),
    );
    const before = (hits[0]?.index ?? 0) - EXCERPT / 3;
    const start = before > 0 ? text.indexOf(" ", before) + 1 : 0;
    const after = start + EXCERPT;
    const end = after < text.length ? text.lastIndexOf(" ", after) : text.length;
    const paragraph = document.createElement("p");
    paragraph.className = "context";
    let done = start;
    for (const { 0: word, index } of hits) {
      if (index + word.length > end) break;
      const mark = document.createElement("mark");
      mark.textContent = word;
      paragraph.append(text.slice(done, index), mark);
      done = index + word.length;
    }
    paragraph.append(text.slice(done, end));
    if (start > 0) paragraph.prepend("… ");
    if (end < text.length) paragraph.append(" …");
    return paragraph;
  };

  const item = ({ id, terms }) => {
    const { url, page, title, text } = sections[id];
    const link = document.createElement("a");
    link.href = url;
    link.textContent = title === page ? page : `${page} › ${title}`;
    const element = document.createElement("li");
    element.append(link, excerpt(text, terms));
    return element;
  };

  const summary = (query, count) => {
    if (!count) {
      return (
        `Nothing was found for “${query}”. Fewer words may help, or another word for the same; ` +
        "the glossary has those that this book uses."
      );
    }
    if (count === 1) return "One section was found.";
    const shown = count > MOST ? `, and these are the first ${MOST}` : "";
    return `${count} sections were found, the best first${shown}.`;
  };

  document.addEventListener("DOMContentLoaded", () => {
    const query = new URLSearchParams(window.location.search).get("q")?.trim();
    if (!query) return;
    for (const field of document.querySelectorAll('input[name="q"]')) field.value = query;
    const found = find(query);
    const status = document.createElement("p");
    status.className = "search-summary";
    status.setAttribute("role", "status");
    status.textContent = summary(query, found.length);
    const list = document.createElement("ul");
    list.className = "search";
    list.append(...found.slice(0, MOST).map(item));
    document.getElementById("search-results").append(status, list);
  });
})();
