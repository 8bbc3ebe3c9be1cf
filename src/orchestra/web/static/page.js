// What every page does with JavaScript. Without it pages are complete, but do not change by themselves.

import { returnWhenWell } from "./errors.js";
import { sendOnce } from "./forms.js";
import { keepLive } from "./live.js";
import { keepTimes } from "./times.js";

keepTimes();
sendOnce();
returnWhenWell();
keepLive();
