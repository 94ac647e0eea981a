// The live page: one stream in, plain DOM out. Everything shown comes from journal records and
// from the callbacks that the stub ad server received; nothing is made up here.
const setup = JSON.parse(document.getElementById('setup').textContent);
const $ = (id) => document.getElementById(id);
const LINES_MAX = 200;
const visitors = new Map(); // profile id -> what the page shows of it
const waiting = new Map(); // profile|segment|epoch -> where its callback goes
const early = new Map(); // callbacks that came before their record
const took = { durable: [], callback: [] };
const counts = { events: 0, callbacks: 0, bad: 0 };
let paused = false;
let held = [];

const el = (name, props = {}, ...children) => {
  const node = Object.assign(document.createElement(name), props);
  node.append(...children);
  return node;
};
const ms = (n) => (n == null ? '–' : n < 1 ? '<1 ms' : `${Math.round(n)} ms`);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const keep = (list, n) => (list.push(n), list.length > 500 && list.shift());
const short = (id) => (id ? id.slice(0, 8) : 'anonymous');
const clock = (text) => new Date(text).toLocaleTimeString([], { hour12: false }) + '.' + text.slice(20, 23);

function visitor(record) {
  const id = record.profile_id;
  if (!id) return undefined;
  if (!visitors.has(id)) {
    visitors.set(id, { id, events: 0, pages: 0, segments: new Map(), session: null, seen: 0 });
    $('who').append(el('option', { value: id, textContent: short(id) }));
  }
  const v = visitors.get(id);
  v.seen = ++visitor.turn;
  v.user = record.user_id || v.user;
  if (record.session) {
    if (v.session?.id !== record.session.id) v.pages = v.events = 0;
    v.session = record.session;
  }
  if (record.type !== 'system') {
    v.events++;
    v.pages += record.type === 'page';
    v.device = record.context?.device?.class || v.device;
    v.last = record.event || record.type;
  } else if (record.event === 'session_end') v.session = null;
  return v;
}
visitor.turn = 0;

function describe({ type, event, context = {}, properties = {}, traits = {} }) {
  const soft = (text) => el('span', { className: 'soft', textContent: text });
  const tag = el('span', { className: `tag ${type}`, textContent: type });
  const path = context.page?.path || '';
  if (type === 'page') return [tag, el('b', { textContent: path || event }), soft(` ${context.page?.title || ''}`)];
  if (type === 'identify') return [tag, el('b', { textContent: 'who it is' }), soft(` ${Object.keys(traits).join(', ')}`)];
  const extra = Object.entries(properties).slice(0, 3).map(([k, v]) => `${k} ${typeof v === 'object' ? '…' : v}`);
  return [tag, el('b', { textContent: String(event).replaceAll('_', ' ') }), soft(' ' + (extra.join(', ') || path))];
}

function change(record, t, durable) {
  const reply = el('span', { className: 'reply', textContent: setup.destination ? 'callback on its way' : '' });
  const bar = el('div', { className: 'bar' });
  const line = el('li', { className: t.change }, el('span', {}, el('b', { textContent: t.change === 'enter' ? 'enters ' : 'leaves ' }), t.segment), reply, bar);
  const key = [t.profile_id || record.profile_id, t.segment, t.epoch].join('|');
  waiting.set(key, { reply, bar, durable });
  if (waiting.size > 500) waiting.delete(waiting.keys().next().value);
  if (early.has(key)) answered(key, early.get(key));
  return line;
}

function answered(key, callback) {
  const place = waiting.get(key);
  if (!place) {
    early.set(key, callback);
    if (early.size > 500) early.delete(early.keys().next().value);
    return;
  }
  waiting.delete(key);
  early.delete(key);
  place.reply.className = `reply ${callback.verified ? 'ok' : 'bad'}`;
  place.reply.textContent = callback.verified ? `callback ${ms(callback.ms)}, signature good` : 'callback with a bad signature, refused';
  const part = (name, n) => el('span', { className: name, style: `width:${Math.min(100, (n / Math.max(50, callback.ms)) * 100)}%` });
  const durable = Math.min(place.durable ?? 0, callback.ms ?? 0);
  if (callback.ms != null) place.bar.append(part('d', durable), part('c', Math.max(1, callback.ms - durable)));
}

/** Shows or hides the record behind a line, as `tidegate journal cat` prints it. */
function open(line, button, record) {
  const shown = line.querySelector('.raw');
  button.setAttribute('aria-expanded', !shown);
  if (shown) return shown.remove();
  line.append(el('pre', { className: 'raw', tabIndex: 0, textContent: JSON.stringify(record, null, 2) }));
}

function onRecord({ record, durable_ms, decide_ms }) {
  counts.events += record.type !== 'system';
  if (durable_ms != null) keep(took.durable, durable_ms);
  const v = visitor(record);
  const changes = record.transitions || [];
  for (const t of changes) visitors.get(t.profile_id || record.profile_id)?.segments.set(t.segment, t);
  const button = el('button', { className: 'open', textContent: clock(record.received_at || record.decided_at) });
  button.setAttribute('aria-expanded', false);
  button.setAttribute('aria-label', `${button.textContent}, journal record ${record.offset}`);
  const line = el('li', { className: 'new' },
    button,
    el('div', { className: 'what' }, ...describe(record), el('span', { className: 'off', textContent: v ? ` · ${short(v.id)}` : '' })),
    el('span', { className: 'took' }, ...(durable_ms == null ? [] : [el('i', { textContent: `on disk ${ms(durable_ms)}` })])));
  line.title = `offset ${record.offset}, message ${record.message_id}, decided ${ms(decide_ms)} after receipt`;
  line.onclick = ({ target }) => target.closest('.raw') || open(line, button, record);
  if (changes.length) line.append(el('ul', { className: 'changes' }, ...changes.map((t) => change(record, t, durable_ms))));
  $('list').prepend(line);
  while ($('list').children.length > LINES_MAX) $('list').lastChild.remove();
  if (changes.length) $('spoken').textContent = changes.map((t) => `${t.change === 'enter' ? 'enters' : 'leaves'} ${t.segment}`).join(', ');
}

function onCallback(callback) {
  counts.callbacks += callback.verified;
  counts.bad += !callback.verified;
  if (callback.verified && callback.ms != null) keep(took.callback, callback.ms);
  answered([callback.profile_id, callback.segment, callback.epoch].join('|'), callback);
}

function draw() {
  $('hello').hidden = $('list').children.length > 0;
  $('t-events').textContent = counts.events;
  $('t-durable').textContent = ms(median(took.durable));
  $('t-callbacks').textContent = counts.callbacks;
  $('t-verified').textContent = counts.bad ? `${counts.bad} with a bad signature` : 'each signature checked';
  $('t-callback').textContent = ms(median(took.callback));
  $('t-slowest').textContent = took.callback.length ? `median; slowest ${ms(Math.max(...took.callback))}` : 'median';
  const v = visitors.get($('who').value) || [...visitors.values()].sort((a, b) => b.seen - a.seen)[0];
  if (v) {
    const facts = [['Profile', short(v.id)], ['Person', v.user || 'not known'], ['Session', v.session ? `number ${v.session.index}` : 'none open'], ['Page views', v.pages], ['Events', v.events], ['Last', v.last || '–']];
    $('facts').replaceChildren(...facts.map(([name, value]) => el('div', {}, el('dt', { textContent: name }), el('dd', { textContent: value }))));
  }
  $('segments').replaceChildren(...setup.segments.map(({ name, when }) =>
    el('li', { className: v?.segments.get(name)?.change === 'enter' ? 'in' : '' }, el('b', { textContent: name }), el('code', { textContent: when }))));
}

function take(message) {
  if (message.kind === 'record') onRecord(message);
  else onCallback(message);
}

let due = false;
function receive({ data }) {
  if (paused) return void (held.length < 2000 && held.push(data));
  take(JSON.parse(data));
  // Not an animation frame: those stand still while the page is behind another.
  due ||= !!setTimeout(() => ((due = false), draw()), 30);
}

function pause() {
  paused = !paused;
  $('pause').setAttribute('aria-pressed', paused);
  $('pause').firstChild.textContent = paused ? 'Resume ' : 'Pause ';
  if (!paused) for (const data of held.splice(0)) receive({ data });
}

// Somebody to watch: hits as the tag would send them, from a device of its own.
async function send() {
  const anonymousId = crypto.randomUUID();
  const buys = Math.random() < 0.5;
  const page = (path, title) => ({ type: 'page', context: { page: { path, title, url: location.origin + path } } });
  const track = (event, properties) => ({ type: 'track', event, properties });
  const steps = [page('/', 'Shop'), page('/product/lantern', 'Storm lantern'), page('/product/kettle', 'Deck kettle'), page('/pricing', 'Membership'), track('Product Added', { product: 'kettle', price: 48 })];
  if (buys) steps.push(track('Order Completed', { revenue: 48, items: 1 }));
  for (const step of steps) {
    const event = { ...step, anonymousId, messageId: crypto.randomUUID(), timestamp: new Date(), sentAt: new Date(), writeKey: 'demo' };
    await fetch(`${setup.gateway}/v1/events`, { method: 'POST', body: JSON.stringify(event), credentials: 'omit' }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * 500));
  }
}

$('pause').onclick = pause;
$('send').onclick = () => void send();
$('who').onchange = draw;
addEventListener('keydown', ({ key, target, metaKey, ctrlKey, altKey }) => {
  if (metaKey || ctrlKey || altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
  if (key === 'p') pause();
  if (key === 'v') void send();
});

let stopped = false;
function connect() {
  const stream = new EventSource('/live/stream');
  stream.onmessage = receive;
  stream.onopen = () => {
    // Another run of the demo, with another journal and perhaps other ports: begin anew.
    if (stopped) return location.reload();
    $('state').className = 'on';
    $('state').textContent = 'connected';
  };
  stream.onerror = () => {
    stopped = true;
    document.body.classList.add('stopped');
    $('stopped').hidden = false;
    $('state').className = '';
    $('state').textContent = 'stopped, trying again';
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}
connect();
draw();
