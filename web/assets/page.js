// What the page does in the browser alone: the side panel, keys, copying, the address bar, following the answer.
// Everything that asks the appliance something goes through Gradio, but for what the side panel reads.
(() => {
  'use strict';

  const root = document.documentElement;
  const find = (selector) => document.querySelector(selector);
  let cameFrom = null; // what had the focus before the source panel took it
  let shown = null; // what is in the panel, { kind, id }; an answer to an older request is dropped

  // -- side panel: the source of a citation, or what was read of a file --------------------------------------------

  const kinds = {
    citation: { name: 'Source', address: (id) => `/ui/source/${encodeURIComponent(id)}`, around: citationsAround },
    file: { name: 'File', address: fileAddress, around: () => filesListed().map((button) => button.dataset.file) },
  };

  function citationsAround(citation) {
    const answer = find(`.lx-answer [data-citation="${CSS.escape(citation)}"]`)?.closest('.lx-answer');
    const all = answer ? [...answer.querySelectorAll('.lx-reference')] : [];
    return all.map((reference) => reference.dataset.citation);
  }

  const filesListed = () => [...document.querySelectorAll('.lx-file-open')];

  function fileAddress(path) {
    const collection = find('.lx-files').dataset.collection;
    return `/ui/file?${new URLSearchParams({ collection, path })}`;
  }

  function markOpen() {
    for (const open of document.querySelectorAll('.lx-open')) open.classList.remove('lx-open');
    if (!shown) return;
    const selector = `[data-${shown.kind}="${CSS.escape(shown.id)}"]`;
    for (const one of document.querySelectorAll(selector)) one.classList.add('lx-open');
  }

  function showPosition() {
    const { name, around } = kinds[shown.kind];
    const all = around(shown.id);
    const place = all.indexOf(shown.id);
    find('.lx-source-count').textContent = all.length > 1 && place >= 0 ? `${name} ${place + 1} of ${all.length}` : name;
    find('.lx-source-previous').disabled = place <= 0;
    find('.lx-source-next').disabled = place < 0 || place >= all.length - 1;
  }

  function step(by) {
    const around = kinds[shown.kind].around(shown.id);
    const next = around[around.indexOf(shown.id) + by];
    if (next) openPanel(shown.kind, next);
  }

  async function openPanel(kind, id) {
    const panel = find('.lx-source');
    const body = find('.lx-source-body');
    if (panel.hidden) cameFrom = document.activeElement;
    const asked = { kind, id };
    shown = asked;
    panel.hidden = false;
    root.classList.add('lx-has-source');
    root.classList.remove('lx-has-left');
    markOpen();
    showPosition();
    panel.focus({ preventScroll: true });
    let fragment;
    try {
      fragment = await (await fetch(kinds[kind].address(id))).text();
    } catch {
      fragment = '<p class="lx-banner" role="alert">Lectern does not answer. Is it still running?</p>';
    }
    if (shown !== asked) return;
    body.innerHTML = fragment; // made by the server with all document text escaped
    body.scrollTop = 0;
    showHighlight(body);
  }

  function showHighlight(body) {
    const highlight = body.querySelector('.lx-highlight');
    const picture = body.querySelector('.lx-picture img');
    const reveal = () => highlight?.scrollIntoView({ block: 'center' });
    if (!picture) return reveal();
    if (picture.complete) reveal();
    picture.addEventListener('load', reveal);
    picture.addEventListener('error', () => {
      // The original is gone, or cannot be drawn: its text is kept.
      const said = document.createElement('p');
      said.className = 'lx-hint';
      said.textContent = 'There is no picture of this page now; its text is shown.';
      picture.closest('.lx-picture').replaceWith(said);
      const words = body.querySelector('.lx-page-words');
      if (words) words.open = true;
    });
  }

  function closeSource() {
    shown = null;
    find('.lx-source').hidden = true;
    root.classList.remove('lx-has-source');
    markOpen();
    (cameFrom?.isConnected ? cameFrom : drawnAgain(cameFrom) ?? questionBox())?.focus();
  }

  // -- answers ---------------------------------------------------------------------------------------------------

  const questionBox = () => find('.lx-question textarea');
  const visible = (element) => Boolean(element && element.offsetParent);

  async function copyAnswer(button) {
    const text = button.closest('.lx-answer').querySelector('.lx-text').innerText;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Not allowed';
    }
    setTimeout(() => (button.textContent = 'Copy'), 1500);
  }

  // -- clicks and keys -------------------------------------------------------------------------------------------

  const clicks = [
    ['[data-citation]', (button) => openPanel('citation', button.dataset.citation)],
    ['[data-file]', (button) => openPanel('file', button.dataset.file)],
    ['.lx-source-close', closeSource],
    ['.lx-source-previous', () => step(-1)],
    ['.lx-source-next', () => step(1)],
    ['.lx-copy', copyAnswer],
    ['.lx-open-left', () => root.classList.add('lx-has-left')],
    ['.lx-close-left, .lx-conversation, #lx-new', () => root.classList.remove('lx-has-left')],
  ];

  document.addEventListener('click', (event) => {
    for (const [selector, act] of clicks) {
      const target = event.target.closest(selector);
      if (target) return act(target);
    }
    if (root.classList.contains('lx-has-left') && !event.target.closest('#lx-left')) root.classList.remove('lx-has-left');
  });

  document.addEventListener('keydown', (event) => {
    const panelOpen = shown !== null;
    if (event.key === 'Escape') {
      if (panelOpen) closeSource();
      else if (root.classList.contains('lx-has-left')) root.classList.remove('lx-has-left');
      else if (visible(find('.lx-stop'))) find('.lx-stop').click();
    } else if (document.activeElement.matches('.lx-file-open') && event.key.match(/^Arrow(Up|Down)$/)) {
      stepFiles(event);
    } else if (panelOpen && find('.lx-source').contains(document.activeElement)) {
      if (event.key === 'ArrowLeft') step(-1);
      if (event.key === 'ArrowRight') step(1);
    }
  });

  // -- what follows from what Gradio draws -----------------------------------------------------------------------

  function keepAddress() {
    const turns = find('.lx-turns');
    if (!turns) return; // nothing drawn yet: the address still says what to draw
    const conversation = turns.dataset.conversation;
    const address = new URL(location.href);
    if ((address.searchParams.get('conversation') ?? '') === conversation) return;
    if (conversation) address.searchParams.set('conversation', conversation);
    else address.searchParams.delete('conversation');
    history.replaceState(null, '', address);
  }

  function watch(selector, onChange) {
    const element = find(selector);
    new MutationObserver(onChange).observe(element, { childList: true, subtree: true, characterData: true });
    onChange();
  }

  // The list of files is drawn anew while files are read: whoever is at a button of it stays there.
  let inFiles = null;

  const drawnAgain = (button) =>
    button?.dataset?.file === undefined
      ? null
      : filesListed().find((other) => other.dataset.file === button.dataset.file);

  function keepPlace() {
    document.addEventListener('focusin', (event) => (inFiles = event.target.closest('#lx-files button')));
    watch('#lx-files', () => {
      markOpen();
      if (!inFiles || inFiles.isConnected || document.activeElement !== document.body) return;
      const { file, act, state } = inFiles.dataset;
      const same = (button) =>
        button.dataset.file === file && button.dataset.act === act && button.dataset.state === state;
      [...document.querySelectorAll('#lx-files button')].find(same)?.focus({ preventScroll: true });
    });
  }

  // Up and down go from file to file.
  function stepFiles(event) {
    const files = filesListed();
    const next = files[files.indexOf(document.activeElement) + (event.key === 'ArrowDown' ? 1 : -1)];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  function followAnswer(scroller) {
    let following = true;
    scroller.addEventListener('scroll', () => {
      following = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    });
    const toEnd = () => following && (scroller.scrollTop = scroller.scrollHeight);
    let wasRunning = false;
    watch('#lx-running', () => {
      const running = Boolean(find('#lx-running .lx-is-running'));
      if (running && !wasRunning) following = true;
      if (!running && wasRunning && shown === null) questionBox()?.focus();
      wasRunning = running;
      find('#lx-running').setAttribute('aria-busy', String(running));
      toEnd();
    });
    watch('#lx-turns', () => {
      keepAddress();
      toEnd();
    });
  }

  // -- whether the server lives ------------------------------------------------------------------------------------

  // Gradio's connection does not outlive the server: whatever the page shows is then old, until it is loaded again.
  const ASK_MS = 2000;
  const PATIENCE_MS = 10000;
  const TYPED = 'lx-typed';
  let life = null;
  let wasGone = false;

  async function lifeOfServer() {
    const answer = await fetch('/ui/life', { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.text();
  }

  function showGone(gone) {
    root.classList.toggle('lx-is-gone', gone);
    find('.lx-gone').textContent = gone ? 'Lectern does not answer. This page comes back by itself when it does.' : '';
  }

  function loadAgain() {
    sessionStorage.setItem(TYPED, questionBox()?.value ?? '');
    location.reload();
  }

  async function askForLife() {
    try {
      const now = await lifeOfServer();
      if (wasGone || (life !== null && life !== now)) return loadAgain();
      life = now;
      showGone(false);
    } catch (error) {
      // One that is only slow still has our connection.
      wasGone = wasGone || error.name !== 'TimeoutError';
      showGone(true);
    }
    setTimeout(askForLife, ASK_MS);
  }

  function typeAgain() {
    const typed = sessionStorage.getItem(TYPED);
    sessionStorage.removeItem(TYPED);
    if (!typed) return;
    questionBox().value = typed;
    questionBox().dispatchEvent(new Event('input', { bubbles: true }));
  }

  function begin() {
    const scroller = find('#lx-scroll');
    if (!scroller || !find('.lx-gone') || !find('#lx-files') || !find('#lx-turns') || !find('#lx-running') || !questionBox()) return false;
    find('#lx-running').setAttribute('aria-live', 'polite');
    find('#lx-left').setAttribute('role', 'complementary');
    find('#lx-left').setAttribute('aria-label', 'Documents and conversations');
    find('#lx-middle').setAttribute('role', 'main');
    followAnswer(scroller);
    keepPlace();
    typeAgain();
    askForLife();
    return true;
  }

  // Gradio draws the page some time after this script runs.
  if (!begin()) {
    const waiting = new MutationObserver(() => begin() && waiting.disconnect());
    waiting.observe(document, { childList: true, subtree: true });
  }
})();
