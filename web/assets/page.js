// What the page does in the browser alone: the source panel, keys, copying, the address bar, following the answer.
// Everything that asks the appliance something goes through Gradio, but for the source panel's two reads.
(() => {
  'use strict';

  const root = document.documentElement;
  const find = (selector) => document.querySelector(selector);
  let cameFrom = null; // what had the focus before the source panel took it
  let shown = null; // the citation id in the panel; an answer to an older request is dropped

  // -- source panel ----------------------------------------------------------------------------------------------

  function citationsAround(citation) {
    const answer = find(`.lx-answer [data-citation="${CSS.escape(citation)}"]`)?.closest('.lx-answer');
    const all = answer ? [...answer.querySelectorAll('.lx-reference')] : [];
    return all.map((reference) => reference.dataset.citation);
  }

  function markOpen(citation) {
    for (const open of document.querySelectorAll('.lx-open')) open.classList.remove('lx-open');
    if (!citation) return;
    for (const one of document.querySelectorAll(`[data-citation="${CSS.escape(citation)}"]`)) one.classList.add('lx-open');
  }

  function showPosition(citation) {
    const around = citationsAround(citation);
    const place = around.indexOf(citation);
    find('.lx-source-count').textContent = around.length > 1 ? `Source ${place + 1} of ${around.length}` : 'Source';
    find('.lx-source-previous').disabled = place <= 0;
    find('.lx-source-next').disabled = place < 0 || place >= around.length - 1;
  }

  function step(by) {
    const around = citationsAround(shown);
    const next = around[around.indexOf(shown) + by];
    if (next) openSource(next);
  }

  async function openSource(citation) {
    const panel = find('.lx-source');
    const body = find('.lx-source-body');
    if (panel.hidden) cameFrom = document.activeElement;
    shown = citation;
    panel.hidden = false;
    root.classList.add('lx-has-source');
    markOpen(citation);
    showPosition(citation);
    panel.focus({ preventScroll: true });
    let fragment;
    try {
      fragment = await (await fetch(`/ui/source/${encodeURIComponent(citation)}`)).text();
    } catch {
      fragment = '<p class="lx-banner" role="alert">Lectern does not answer. Is it still running?</p>';
    }
    if (shown !== citation) return;
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
      // The original is gone: its text is kept.
      picture.closest('.lx-picture').remove();
      const words = body.querySelector('.lx-page-words');
      if (words) words.open = true;
    });
  }

  function closeSource() {
    shown = null;
    find('.lx-source').hidden = true;
    root.classList.remove('lx-has-source');
    markOpen(null);
    (cameFrom?.isConnected ? cameFrom : questionBox())?.focus();
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
    ['[data-citation]', (button) => openSource(button.dataset.citation)],
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

  function begin() {
    const scroller = find('#lx-scroll');
    if (!scroller || !find('#lx-turns') || !find('#lx-running') || !questionBox()) return false;
    find('#lx-running').setAttribute('aria-live', 'polite');
    find('#lx-left').setAttribute('role', 'complementary');
    find('#lx-left').setAttribute('aria-label', 'Documents and conversations');
    find('#lx-middle').setAttribute('role', 'main');
    followAnswer(scroller);
    return true;
  }

  // Gradio draws the page some time after this script runs.
  if (!begin()) {
    const waiting = new MutationObserver(() => begin() && waiting.disconnect());
    waiting.observe(document, { childList: true, subtree: true });
  }
})();
