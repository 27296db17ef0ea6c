"""Thousands of calls against random faults: is anything lost, wrong, or left behind?"""
